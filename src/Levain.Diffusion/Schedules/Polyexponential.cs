using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Steps in ln σ, bent by ρ; with ρ = 1 the same as <see cref="Exponential"/>.</summary>
    public static SigmaSchedule Polyexponential { get; } = new("Polyexponential", "Exponential, bent by rho", 1,
        want => ToZero(Levels(() => (linspace(1, 0, want.Steps).pow(want.Rho) * (Math.Log(want.Max) - Math.Log(want.Min)) + Math.Log(want.Min)).exp())));
}
