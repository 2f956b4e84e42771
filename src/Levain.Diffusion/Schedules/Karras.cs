using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in σ^(1/ρ): more of them where the picture is nearly clean.</summary>
    /// <remarks>Karras et al. 2022, https://arxiv.org/abs/2206.00364, equation 5.</remarks>
    public static SigmaSchedule Karras { get; } = new("Karras", "More steps where the picture is nearly clean", 7,
        want => ToZero(Karrased(want.Steps, want.Min, want.Max, want.Rho)));

    /// <summary>The levels of <see cref="Karras"/> without the 0.</summary>
    internal static IEnumerable<double> Karrased(int steps, double min, double max, double rho) =>
        Levels(() => (linspace(0, 1, steps) * (Math.Pow(min, 1 / rho) - Math.Pow(max, 1 / rho)) + Math.Pow(max, 1 / rho)).pow(rho));
}
