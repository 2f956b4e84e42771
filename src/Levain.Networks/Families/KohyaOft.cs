using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>kohya's OFT: as many rotations as the rank says, each over its share of the output rows; alpha is the constraint, and always holds.</summary>
/// <remarks>sd-scripts' networks/oft.py. U-Net only; the file's names begin with <c>oft_unet_</c>.</remarks>
public sealed class KohyaOft : OutputRotation
{
    internal const string Prefix = "oft_unet_";

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, which divides the outputs, and alpha.</param>
    public KohyaOft(AdapterSite site, AdapterNumbers numbers)
        : base(site, numbers, [numbers.Rank, site.Layer.Shape.Out / numbers.Rank, site.Layer.Shape.Out / numbers.Rank]) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.KohyaOft;

    /// <inheritdoc/>
    public override string Name => Prefix + Site.Layer.Key.Replace('.', '_');

    /// <inheritdoc/>
    protected override double SavedAlpha => Numbers.Alpha;

    private protected override Tensor Turn(Tensor rows, Tensor matrices) => DiagOft.TurnGroups(rows, matrices);

    private protected override Tensor Limited(Tensor q)
    {
        const double Tiny = 1e-8;
        var size = q.norm();
        return q.mul(size.clamp_max(Numbers.Alpha * Site.Layer.Shape.Out).add(Tiny).div(size.add(Tiny)));
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(BlocksName) || parts.ShapeOf(BlocksName) is not [var count, var size, _] || !parts.Module.StartsWith(Prefix, StringComparison.Ordinal) || site.Layer.Shape.IsNorm) return null;
        return DiagOft.Checked(site, parts, count, size, numbers => new KohyaOft(site, numbers with { Alpha = numbers.Form.Constraint }));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>kohya's OFT.</summary>
    public static AdapterFamily KohyaOft { get; } = new(
        "kohya_oft", "The U-Net's output rows turned in blocks, the angle limited by alpha (kohya's networks.oft)", new("https://arxiv.org/abs/2306.07280"),
        [OutputRotation.BlocksName], (site, numbers) => new KohyaOft(site, numbers), Networks.KohyaOft.Read)
    {
        OneSize = true,
        Targets = LayerTargets.KohyaOft,
        Check = (site, numbers) => site.Layer.Shape.Out % numbers.Rank == 0 ? null
            : new("rank", $"is {numbers.Rank}, which does not divide the {site.Layer.Shape.Out} outputs of {site.Layer.Key}.", "Use a power of two up to 64."),
        Advice = "Rank is the number of blocks, 4 by default; alpha is a limit of angles, 1e-3 to 1e-2, and 0 would hold everything still.",
    };
}
