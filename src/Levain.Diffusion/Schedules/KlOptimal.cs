using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Even steps in arctan σ. It has no 0 at the end: a little noise stays in the picture.</summary>
    /// <remarks>Sabour et al. 2024, https://arxiv.org/abs/2404.14507, theorem 3.1.</remarks>
    public static SigmaSchedule KlOptimal { get; } = new("KL Optimal", "Even steps in arctan sigma; leaves a little noise", 0,
        want => Levels(() =>
        {
            var share = arange(want.Steps + 1) / want.Steps;
            return (share * tensor((float)want.Min).atan() + (1 - share) * tensor((float)want.Max).atan()).tan();
        }));
}
