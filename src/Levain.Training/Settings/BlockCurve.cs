using System.Globalization;
using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>Learning-rate factors of a row of blocks: numbers one by one, or a named curve with an offset (<c>"sine+.25"</c>).</summary>
/// <remarks>kohya-ss/sd-scripts <c>networks/lora.py</c>, <c>get_block_lr_weight</c>: sine, cosine, linear, reverse_linear, zeros.</remarks>
public sealed record BlockCurve
{
    /// <summary>Blocks on the way down, and on the way up, of an SD 1.x U-Net.</summary>
    public const int Side = 12;

    internal const string Form = "a number, a list of numbers, or a curve such as \"sine+.25\"";

    private static readonly string[] Names = ["sine", "cosine", "linear", "reverse_linear", "zeros"];

    private BlockCurve(string? name, double offset, IReadOnlyList<double>? numbers) => (Name, Offset, Numbers) = (name, offset, numbers);

    /// <summary>Name of the curve; null where numbers were given.</summary>
    public string? Name { get; }

    /// <summary>What is added to every factor of a curve.</summary>
    public double Offset { get; }

    /// <summary>The numbers as given; null where it is a curve.</summary>
    public IReadOnlyList<double>? Numbers { get; }

    /// <summary>Factors one by one.</summary>
    public static BlockCurve Of(params IReadOnlyList<double> numbers) => new(null, 0, numbers);

    /// <summary>A number, a list, <c>"0,0.5,1"</c> or <c>"name+offset"</c>; null where it is none of them. An empty element of a comma list is 0.</summary>
    public static BlockCurve? Read(object value) => value switch
    {
        long whole => Of(whole),
        double number => Of(number),
        List<object> list when list.All(item => item is long or double) => Of([.. list.Select(item => Convert.ToDouble(item, CultureInfo.InvariantCulture))]),
        string text => Parse(text),
        _ => null,
    };

    /// <summary>Reads <c>"0,0.5,1"</c>, <c>"1"</c> or <c>"sine+.25"</c>; null where it is none of them.</summary>
    public static BlockCurve? Parse(string text)
    {
        if (text.Contains(','))
        {
            var parts = text.Split(',').Select(part => part.Trim().Length == 0 ? 0 : Number(part)).ToList();
            return parts.All(part => part is not null) ? Of([.. parts.Select(part => part!.Value)]) : null;
        }
        if (Number(text) is { } single) return Of(single);
        var plus = text.IndexOf('+');
        var name = (plus < 0 ? text : text[..plus]).Trim();
        if (!Names.Contains(name)) return null;
        return plus < 0 ? new(name, 0, null) : Number(text[(plus + 1)..]) is { } offset ? new(name, offset, null) : null;
    }

    /// <summary>What a file holds for it.</summary>
    public object Write() => (object?)Numbers ?? (Offset == 0 ? Name! : $"{Name}+{Offset.ToString("R", CultureInfo.InvariantCulture)}");

    /// <summary>As kohya's command line has it for <paramref name="count"/> blocks: <c>0,0.5,1</c> or <c>sine+0.25</c>; one number for several blocks becomes <c>zeros+0.5</c>.</summary>
    public string Spelt(int count) => Numbers is [var only] && count > 1
        ? $"zeros+{only.ToString("R", CultureInfo.InvariantCulture)}"
        : Numbers is { } numbers ? string.Join(',', numbers.Select(number => number.ToString("R", CultureInfo.InvariantCulture))) : (string)Write();

    internal void Check(Problems problems, string name, int count, bool anyLength)
    {
        problems.Require(anyLength || Numbers is null || Numbers.Count == 1 || Numbers.Count == count, name, $"has {Numbers?.Count} numbers.", $"Give {count}, or one for all of them.");
        // kohya takes what lies below its threshold for 0.
        problems.Require(anyLength || (Numbers?.All(number => number >= 0) ?? true), name, "holds a negative number.", "Use 0 or more; 1 keeps the learning rate.");
    }

    private static double? Number(string text) =>
        double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
