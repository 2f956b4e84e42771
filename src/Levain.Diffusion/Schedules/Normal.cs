using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in time between the levels asked for.</summary>
    public static SigmaSchedule Normal { get; } = new("Normal", "Even steps in time between the levels asked for", 0,
        want => ToZero(Levels(() => want.Model.SigmasOf(linspace(want.Model.TimestepOf(want.Max), want.Model.TimestepOf(want.Min), want.Steps)))));
}
