using System.Globalization;
using Levain.Core;

namespace Levain.Networks;

/// <summary>Factors of a network's strength by block, and rules for single layers that go before them.</summary>
/// <remarks>sd-webui-lora-block-weight; the factor multiplies the whole delta, which is what the extension means.</remarks>
public sealed class BlockWeights : IEquatable<BlockWeights>
{
    private const int RandomDigits = 3;
    private const double LowestSpread = -0.5, HighestSpread = 1.5;

    /// <param name="values">26 factors, in the order of <see cref="BlockNames.All"/>.</param>
    /// <param name="layers">Rules for single layers, the last that fits counts; null for none.</param>
    public BlockWeights(IReadOnlyList<double> values, LayerRules? layers = null) => (Values, Layers) = (values, layers ?? LayerRules.None);

    /// <summary>26 factors, in the order of <see cref="BlockNames.All"/>.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>Rules for single layers.</summary>
    public LayerRules Layers { get; }

    /// <summary>The same factor everywhere.</summary>
    public static BlockWeights Flat(double value) => new([.. Enumerable.Repeat(value, BlockNames.All.Count)]);

    /// <summary>Reads a list of 12, 17, 20 or 26 weights; places that a shorter list leaves out get 0.</summary>
    /// <param name="text">Numbers with commas between them; <c>R</c> is drawn from 0..1, <c>U</c> from −0.5..1.5, <c>X</c>, <c>X+0.2</c> and <c>X-0.2</c> are <paramref name="x"/> and near it.</param>
    /// <param name="x">What X stands for.</param>
    /// <param name="random">Where R and U are drawn from.</param>
    /// <returns>26 factors; null where the length is another one or a weight is no number.</returns>
    public static IReadOnlyList<double>? Parse(string text, double x, PythonRandom random)
    {
        var words = text.Split(',');
        if (!BlockNames.ByLength.TryGetValue(words.Length, out var names) || !names.All(BlockNames.All.Contains)) return null;
        var values = words.Select(word => Value(word.Trim(), x, random)).ToList();
        if (values.Contains(null)) return null;
        var spread = new double[BlockNames.All.Count];
        foreach (var (name, value) in names.Zip(values)) spread[BlockNames.All.Index().First(place => place.Item == name).Index] = value!.Value;
        return spread;
    }

    /// <summary>The factor at a layer.</summary>
    public double At(AdapterSite site) => At(BlockNames.WebuiName(site));

    /// <summary>The factor at a layer, by its name inside the webui; 1 outside all blocks unless a rule says otherwise.</summary>
    public double At(string layer)
    {
        var block = BlockNames.IndexOf(layer);
        return Layers.RatioOf(layer, block < 0 ? "" : BlockNames.All[block]) ?? (block < 0 ? 1 : Values[block]);
    }

    /// <inheritdoc/>
    public bool Equals(BlockWeights? other) => other is not null && Values.SequenceEqual(other.Values) && Layers.Text == other.Layers.Text;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as BlockWeights);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Values[0], Values[^1], Layers.Text);

    /// <summary>The factors with commas between them, and the rules behind them.</summary>
    public override string ToString() => string.Join(',', Values.Select(value => value.ToString("R", CultureInfo.InvariantCulture))) + (Layers.Text.Length > 0 ? $" {Layers.Text}" : "");

    private static double? Value(string word, double x, PythonRandom random) => word switch
    {
        "R" => Math.Round(random.Random(), RandomDigits),
        "U" => Math.Round(random.Uniform(LowestSpread, HighestSpread), RandomDigits),
        ['X', '+', .. var more] => PythonNumber.Float(more) is { } up ? x + up : null,
        ['X', '-', .. var less] => PythonNumber.Float(less) is { } down ? x - down : null,
        ['X', ..] => x,
        _ => PythonNumber.Float(word),
    };
}
