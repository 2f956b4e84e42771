using Levain.Core;

namespace Levain.Diffusion;

/// <summary>What samplers can be told beside the levels; defaults are the webui's.</summary>
public sealed record SamplerOptions
{
    /// <summary>Share of fresh noise: null for the sampler's own (1 for ancestral ones, 0 for DDIM).</summary>
    public double? Eta { get; init; }

    /// <summary>Noise added and removed again over the whole walk (Euler, Heun, DPM2).</summary>
    public double Churn { get; init; }

    /// <summary>Quietest level at which noise is churned.</summary>
    public double ChurnMin { get; init; }

    /// <summary>Loudest level at which noise is churned.</summary>
    public double ChurnMax { get; init; } = double.PositiveInfinity;

    /// <summary>Factor of all noise added on the way; Euler a, DPM adaptive, Restart and LCM do not know it, as in the webui.</summary>
    public double NoiseScale { get; init; } = 1;

    /// <summary>Slopes used at most by IPNDM, IPNDM_V (1 to 4) and DEIS (1 to 4); null for the sampler's own.</summary>
    public int? MaxOrder { get; init; }

    /// <summary>What UniPC is told.</summary>
    public UniPcOptions UniPc { get; init; } = new();

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Eta is null || double.IsFinite(Eta.Value), "eta", $"is {Eta}.", "Use 0 to 1.");
        problems.Require(double.IsFinite(Churn), "sigma_churn", $"is {Churn}.", "Use 0 or more; 0 is usual.");
        problems.Require(double.IsFinite(ChurnMin), "sigma_tmin", $"is {ChurnMin}.", "Use 0 or more; 0 is usual.");
        problems.Require(!double.IsNaN(ChurnMax), "sigma_tmax", $"is {ChurnMax}.", "Use 0 or more.");
        problems.Require(double.IsFinite(NoiseScale), "sigma_noise", $"is {NoiseScale}.", "Use 1, which is usual, or a little more or less.");
    }
}

/// <summary>How UniPC weighs its guesses.</summary>
public enum UniPcVariant
{
    /// <summary>B(h) = h.</summary>
    Bh1,

    /// <summary>B(h) = eʰ − 1.</summary>
    Bh2,

    /// <summary>Coefficients that vary with the steps' lengths.</summary>
    VaryCoeff,
}

/// <summary>Where UniPC's steps lie.</summary>
public enum UniPcSpacing
{
    /// <summary>Evenly in time.</summary>
    TimeUniform,

    /// <summary>Evenly in the root of time.</summary>
    TimeQuadratic,

    /// <summary>Evenly in the logarithm of signal over noise.</summary>
    LogSnr,
}

/// <summary>What UniPC can be told; defaults are the webui's.</summary>
public sealed record UniPcOptions
{
    /// <summary>Guesses used at most, 1 up to the number of steps. Default 3.</summary>
    public int Order { get; init; } = 3;

    /// <summary>How guesses are weighed.</summary>
    public UniPcVariant Variant { get; init; }

    /// <summary>Where steps lie.</summary>
    public UniPcSpacing Spacing { get; init; }

    /// <summary>Whether the last steps use fewer guesses.</summary>
    public bool LowerOrderFinal { get; init; } = true;
}
