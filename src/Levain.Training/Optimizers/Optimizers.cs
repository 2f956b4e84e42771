using Levain.Core;

namespace Levain.Training;

/// <summary>Ways of turning gradients into steps.</summary>
[Catalog]
public static partial class Optimizers
{
    /// <summary>All optimizers, in name order.</summary>
    public static partial IReadOnlyList<Optimizer> All { get; }

    /// <summary>
    /// The optimizer of that name, by kohya's rules: letter case does not matter for the names kohya knows itself, does for those it looks up in
    /// <c>torch.optim</c> and for classes with their module (<c>pytorch_optimizer.CAME</c>); nothing at all is AdamW. Null where there is none.
    /// </summary>
    public static Optimizer? Named(string name) => name.Length == 0 ? AdamW : All.FirstOrDefault(optimizer => optimizer.IsCalled(name));
}

/// <summary>What an optimizer makes of the learning rates it is given.</summary>
public enum RateUse
{
    /// <summary>Steps are about as long as the rate says; each group has its own.</summary>
    Length,

    /// <summary>It finds the length itself and multiplies it by the rate, 1 as a rule; all groups share one.</summary>
    Multiplier,

    /// <summary>As <see cref="Multiplier"/>, and the first group's rate counts for all.</summary>
    FirstGroup,
}

/// <summary>One way of turning gradients into steps.</summary>
/// <param name="Name">Its name in run files, as kohya's <c>--optimizer_type</c>.</param>
/// <param name="Summary">What it does, in one line.</param>
/// <param name="Source">The paper, or where the rule comes from.</param>
/// <param name="Defaults">Its options; a record of its own kind.</param>
public sealed record Optimizer(string Name, string Summary, Uri Source, OptimizerOptions Defaults)
{
    /// <summary>The class that kohya uses and writes into metadata: <c>torch.optim.adamw.AdamW</c>.</summary>
    public required string Class { get; init; }

    /// <summary>Shorter paths to that class: <c>torch.optim.AdamW</c>.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>Other names it goes by, as <see cref="Name"/>.</summary>
    public IReadOnlyList<string> AlsoKnownAs { get; init; } = [];

    /// <summary>Whether <see cref="Name"/> is one that kohya looks up in <c>torch.optim</c>, letter for letter, rather than one it knows.</summary>
    public bool CaseMatters { get; init; }

    /// <summary>Whether kohya finds it only by its class with the module: <c>pytorch_optimizer.CAME</c>.</summary>
    public bool ByPathInKohya { get; init; }

    /// <summary>What it makes of learning rates.</summary>
    public RateUse Rates { get; init; } = RateUse.Length;

    /// <summary>Arguments that kohya gives itself where it knows the name, and that nobody else may give then.</summary>
    public IReadOnlyList<string> GivenByKohya { get; init; } = [];

    /// <summary>Arguments that have another name in run files, where theirs means something else; by their name in Python.</summary>
    public IReadOnlyDictionary<string, string> Renamed { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether a learning rate of 0 is refused.</summary>
    public bool NeedsRate { get; init; }

    /// <summary>Whether it averages over the run instead of following a schedule: the schedule is then not looked at.</summary>
    public bool ScheduleFree { get; init; }

    /// <summary>The guide's advice, one sentence or two.</summary>
    public string Advice { get; init; } = "";

    /// <summary>What kohya makes of the arguments of a name it knows before it hands them on, as its metadata shows them; Python values.</summary>
    public Func<IReadOnlyList<KeyValuePair<string, object?>>, IReadOnlyList<KeyValuePair<string, object?>>> KohyaArguments { get; init; } = static given => given;

    /// <summary>Whether that name means this optimizer.</summary>
    public bool IsCalled(string name) => AlsoKnownAs.Append(Name).Any(known => name.Equals(known, CaseMatters ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase)) || Aliases.Contains(name) || name == Class;
}
