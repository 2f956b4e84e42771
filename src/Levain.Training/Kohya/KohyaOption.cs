namespace Levain.Training.Kohya;

/// <summary>What follows an option of kohya's command line.</summary>
public enum OptionKind
{
    /// <summary>Nothing: naming it switches it on.</summary>
    Flag,

    /// <summary>A whole number.</summary>
    Whole,

    /// <summary>A number.</summary>
    Number,

    /// <summary>A text.</summary>
    Text,

    /// <summary>Steps (whole) or a share of the run (below 1, or with %).</summary>
    StepsOrShare,

    /// <summary>Any number of texts, up to the next option.</summary>
    Texts,

    /// <summary>Any number of numbers, up to the next option.</summary>
    Numbers,
}

/// <summary>What Levain makes of an option.</summary>
public enum OptionStanding
{
    /// <summary>It becomes a setting of the run.</summary>
    Supported,

    /// <summary>It is accepted and changes nothing here.</summary>
    NoEffect,

    /// <summary>It is refused by name, unless it is given its default.</summary>
    Refused,
}

/// <summary>One option of kohya's trainers.</summary>
/// <param name="Name">Name without its dashes.</param>
/// <param name="Kind">What follows it.</param>
/// <param name="Standing">What Levain makes of it.</param>
/// <param name="Says">Supported: the setting it becomes. NoEffect: why. Refused: what to use instead, as a sentence.</param>
/// <param name="Default">Value where it is not given; null for none.</param>
public sealed record KohyaOption(string Name, OptionKind Kind, OptionStanding Standing, string Says, object? Default = null)
{
    /// <summary>Which trainers have it.</summary>
    public KohyaTrainers Of { get; init; } = KohyaTrainers.All;

    /// <summary>The only values it takes; empty where it takes any.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];
}
