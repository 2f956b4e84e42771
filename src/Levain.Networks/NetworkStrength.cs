namespace Levain.Networks;

/// <summary>How strongly a network acts: multipliers of its deltas.</summary>
/// <param name="TextEncoder">On the text encoder; 1 is as trained, 0 nothing.</param>
/// <param name="UNet">On the U-Net; 1 is as trained, 0 nothing.</param>
public sealed record NetworkStrength(double TextEncoder, double UNet)
{
    /// <summary>Further factors by layer; null: 1.</summary>
    public BlockWeights? Blocks { get; init; }

    /// <summary>As trained.</summary>
    public static NetworkStrength Full { get; } = new(1, 1);

    /// <summary>The same on both parts.</summary>
    public static implicit operator NetworkStrength(double both) => new(both, both);

    /// <summary>The multiplier at a site.</summary>
    public double At(AdapterSite site) => (site.Part == NetworkPart.TextEncoder ? TextEncoder : UNet) * (Blocks?.At(site) ?? 1);
}
