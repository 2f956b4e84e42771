using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in time as Stability's own code takes them: the last level is above the quietest.</summary>
    public static SigmaSchedule SgmUniform { get; } = new("SGM Uniform", "Even steps in time, ending above the quietest level", 0,
        want => ToZero(Levels(() => linspace(want.Model.TimestepOf(want.Max), want.Model.TimestepOf(want.Min), want.Steps + 1)).SkipLast(1).Select(want.Model.SigmaOf)));
}
