using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const double RestartLow = 0.1, RestartHigh = 2, RestartRho = 7;
    private const int RestartFrom = 20, RestartTwiceFrom = 36, RestartSteps = 9;

    /// <summary>Heun that goes back to more noise near the end, and down again.</summary>
    /// <remarks>Xu et al. 2023, https://arxiv.org/abs/2306.14878, with the webui's choice of restarts: one from 20 steps, two from 36.</remarks>
    public static Sampler Restart { get; } = new("Restart", "Heun that goes back to more noise near the end", new("https://arxiv.org/abs/2306.14878"), WalkRestart)
    {
        Aliases = ["restart"],
        Schedule = SigmaSchedules.Karras,
        SecondOrder = true,
    };

    private static Tensor WalkRestart(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (index, level) = (0, double.PositiveInfinity);
        foreach (var (from, to) in WithRestarts(walk.Sigmas))
        {
            using var step = NewDisposeScope();
            if (level < from) x = x + walk.Noise(level, from) * Math.Sqrt(from * from - level * level);
            x = HeunStep(walk, index++, x, from, to).MoveToOuterDisposeScope();
            level = to;
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>The steps: from 20 on some of them are spent on going back.</summary>
    private static IEnumerable<(double From, double To)> WithRestarts(IReadOnlyList<double> sigmas)
    {
        var steps = sigmas.Count - 1;
        if (steps < RestartFrom) return sigmas.Zip(sigmas.Skip(1));

        var (again, times) = steps >= RestartTwiceFrom ? (steps / 4, 2) : (RestartSteps, 1);
        double[] levels = [.. SigmaSchedules.Karrased(steps - again * times, sigmas[^2], sigmas[0], RestartRho), 0];
        var (low, high) = (NearestTo(RestartLow), NearestTo(RestartHigh));
        double[] back = high < low ? [.. SigmaSchedules.Karrased(again + 1, levels[low], levels[high], RestartRho)] : [];
        var pairs = levels.Zip(levels.Skip(1)).ToList();
        return [.. pairs.Take(low), .. Enumerable.Repeat(back.Zip(back.Skip(1)), times).SelectMany(pair => pair), .. pairs.Skip(low)];

        int NearestTo(double wanted) => Enumerable.Range(0, levels.Length).MinBy(i => Math.Abs(levels[i] - wanted));
    }
}
