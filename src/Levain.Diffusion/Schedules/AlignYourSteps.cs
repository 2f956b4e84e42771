namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    // Levels for ten steps, found by optimisation; table 5 of the paper.
    private static readonly double[] AlignedSd1 = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029];
    private static readonly double[] AlignedSdxl = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029];

    /// <summary>Levels optimised for ten steps, others interpolated in ln σ.</summary>
    /// <remarks>Sabour et al. 2024, https://arxiv.org/abs/2404.14507.</remarks>
    public static SigmaSchedule AlignYourSteps { get; } = new("Align Your Steps", "Levels optimised for ten steps", 0,
        want => ToZero(Resample(want.Sdxl ? AlignedSdxl : AlignedSd1, want.Steps)));

    /// <summary>n levels along a list of levels, log-linear between them; a single one is the last.</summary>
    internal static IEnumerable<double> Resample(double[] levels, int n)
    {
        if (n == 1) return [levels[^1]];
        return Even(0, levels.Length - 1, n).Select(place =>
        {
            var low = Math.Min((int)place, levels.Length - 2);
            return Math.Exp(double.Lerp(Math.Log(levels[low]), Math.Log(levels[low + 1]), place - low));
        });
    }
}
