using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in ln σ.</summary>
    public static SigmaSchedule Exponential { get; } = new("Exponential", "Each level the same share of the one before", 0,
        want => ToZero(Levels(() => linspace(Math.Log(want.Max), Math.Log(want.Min), want.Steps).exp())));
}
