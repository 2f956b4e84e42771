using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in the model's timesteps: what samplers without a schedule of their own use.</summary>
    public static SigmaSchedule Uniform { get; } = new("Uniform", "Even steps in time", 0,
        want => ToZero(Levels(() => want.Model.SigmasOf(linspace(want.Model.Count - 1, 0, want.Steps)))));
}
