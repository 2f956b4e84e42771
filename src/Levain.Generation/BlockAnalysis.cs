using Levain.Core;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>What one block of a network does to a picture.</summary>
/// <param name="Block">Its name: BASE, IN04.</param>
/// <param name="Layers">Layers that the network adapts in it.</param>
/// <param name="Norm">‖ΔW‖ ÷ ‖W‖ over these layers, at the strength they have in the pictures with all blocks.</param>
/// <param name="Changes">For each seed the share of channel values that differ by more than the threshold once the block has the other factor, 0..1.</param>
public sealed record BlockChange(string Block, int Layers, double Norm, IReadOnlyList<double> Changes)
{
    /// <summary>Mean over the seeds.</summary>
    public double Change => Changes.Count == 0 ? 0 : Changes.Average();
}

/// <summary>
/// Draws a picture with all blocks of a network at one factor, then once for each block with that block at another, and tells how far each moves the picture.
/// </summary>
/// <param name="Request">The picture, without the network.</param>
/// <param name="Network">The network; its own block weights are replaced.</param>
/// <remarks>sd-webui-lora-block-weight's Effective Block Analyzer.</remarks>
public sealed record BlockAnalysis(GenerationRequest Request, NetworkUse Network)
{
    /// <summary>Seeds; the analysis is made for each. Default: the request's.</summary>
    public IReadOnlyList<long> Seeds { get; init; } = [Request.Seed];

    /// <summary>Factor of all blocks; default 1.</summary>
    public double All { get; init; } = 1;

    /// <summary>Factor of the block that is looked at; default 0.5.</summary>
    public double One { get; init; } = 0.5;

    /// <summary>Difference from which a channel value counts as changed, 0 to 255; default 20.</summary>
    public int Threshold { get; init; } = 20;

    /// <summary>Blocks looked at; empty for those in which the network has layers.</summary>
    public IReadOnlyList<string> Blocks { get; init; } = [];

    /// <summary>Whether difference pictures are white where nothing changed.</summary>
    public bool White { get; init; }

    /// <summary>Reads blocks: names and ranges (<c>IN05-OUT05</c>), <c>NOT</c> in front of a list, or <c>12ALL</c>, <c>17ALL</c>, <c>20ALL</c>, <c>26ALL</c>; parted by commas or blanks.</summary>
    public static IReadOnlyList<string> Named(string text, Problems problems)
    {
        if (text.EndsWith("ALL", StringComparison.Ordinal) && int.TryParse(text[..^3], out var length) && BlockNames.ByLength.TryGetValue(length, out var list) && list.All(BlockNames.All.Contains)) return list;
        var named = BlockNames.Named(text.Replace(',', ' '), BlockNames.All);
        foreach (var unknown in named.Except(BlockNames.All))
            problems.Add("--blocks", $"names '{unknown}'.", "Blocks are BASE, IN00 to IN11, M00, OUT00 to OUT11; 17ALL and 26ALL are lists of them.");
        return named;
    }

    /// <summary>Draws everything.</summary>
    /// <param name="pipeline">Who draws.</param>
    /// <param name="drawn">Told after each picture: how many are drawn, and how many there are.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <returns>The blocks in the model's order, and a picture: a row for each block, its difference, the picture and the one with all blocks alike, for each seed.</returns>
    public (IReadOnlyList<BlockChange> Blocks, Picture Picture) Draw(GenerationPipeline pipeline, Action<int, int>? drawn = null, CancellationToken cancel = default)
    {
        var looked = (Blocks.Count > 0 ? Blocks : BlockNames.All).Select(block => (Block: block, Effect: pipeline.EffectOf(Use([.. BlockNames.All.Select(name => name == block ? All == 0 ? 1 : All : 0)]))))
            .Select(one => (one.Block, one.Effect, Layers: one.Effect.TextEncoderLayers + one.Effect.UNetLayers))
            .Where(one => Blocks.Count > 0 || one.Layers > 0).ToList();
        var (done, count) = (0, Seeds.Count * (1 + looked.Count(one => one.Layers > 0)));
        var rows = looked.Select(_ => new List<Picture>()).ToList();
        var changes = looked.Select(_ => new List<double>()).ToList();
        foreach (var seed in Seeds)
        {
            var whole = Picture(seed, Factors(null));
            foreach (var (i, (block, _, layers)) in looked.Index())
            {
                var one = layers > 0 ? Picture(seed, Factors(block)) : whole;
                var (share, difference) = PictureDifference.Of(one, whole, Threshold, White);
                changes[i].Add(share);
                rows[i].AddRange([difference, one, whole]);
            }
        }
        List<BlockChange> blocks = [.. looked.Zip(changes, (one, shares) => new BlockChange(one.Block, one.Layers, one.Effect.Share, shares))];
        var grid = PictureGrid.Arrange(rows, [.. Seeds.SelectMany(seed => (string[])[$"difference\nseed {seed}", FormattableString.Invariant($"block at {One}"), FormattableString.Invariant($"all at {All}")])],
            [.. blocks.Select(block => FormattableString.Invariant($"{block.Block}\nDiff : {block.Change * 100:0.000}%"))]);
        return (blocks, grid);

        Picture Picture(long seed, double[] factors)
        {
            var picture = pipeline.Draw(Request with { Seed = seed, Networks = [.. Request.Networks, Use(factors)] }, cancel: cancel).Picture;
            drawn?.Invoke(++done, count);
            return picture;
        }

        double[] Factors(string? block) => [.. BlockNames.All.Select(name => name == block ? One : All)];

        NetworkUse Use(double[] factors) => Network with { Strength = Network.Strength with { Blocks = new(factors) } };
    }
}
