namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    private static readonly double[] GitsSd1 = [14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029];
    private static readonly double[] GitsSdxl = [14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029];

    /// <summary>Levels found along the geometry of sampling paths, others interpolated in ln σ. Forge has it.</summary>
    /// <remarks>Chen et al. 2024, https://arxiv.org/abs/2405.11326.</remarks>
    public static SigmaSchedule AlignYourStepsGits { get; } = new("Align Your Steps GITS", "Levels found along sampling paths", 0,
        want => ToZero(Resample(want.Sdxl ? GitsSdxl : GitsSd1, want.Steps)));
}
