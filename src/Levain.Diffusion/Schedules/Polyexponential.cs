namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Steps in ln σ, bent by ρ; with ρ = 1 the same as <see cref="Exponential"/>.</summary>
    public static SigmaSchedule Polyexponential { get; } = new("Polyexponential", "Exponential, bent by rho", 1,
        want => ToZero(Even(1, 0, want.Steps).Select(ramp => Math.Exp(Math.Pow(ramp, want.Rho) * Math.Log(want.Max / want.Min) + Math.Log(want.Min)))));
}
