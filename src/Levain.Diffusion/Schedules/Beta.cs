namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Levels by the quantiles of a Beta distribution: many at both ends.</summary>
    /// <remarks>Lee et al. 2024, https://arxiv.org/abs/2407.12173.</remarks>
    public static SigmaSchedule Beta { get; } = new("Beta", "Many steps at both ends", 0,
        want => ToZero(Even(1, 0, want.Steps).Select(share => want.Min + BetaDistribution.Quantile(share, want.BetaA, want.BetaB) * (want.Max - want.Min))));
}
