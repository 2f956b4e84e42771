namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>The same levels as <see cref="AlignYourSteps"/>, under Forge's name.</summary>
    public static SigmaSchedule AlignYourSteps11 { get; } = new("Align Your Steps 11", "Align Your Steps under Forge's name", 0,
        want => ToZero(Resample(want.Sdxl ? AlignedSdxl : AlignedSd1, want.Steps)));
}
