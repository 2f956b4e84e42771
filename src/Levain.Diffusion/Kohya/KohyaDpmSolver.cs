using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class KohyaSamplers
{
    /// <summary>DPM-Solver++ of second order over several steps, ending in the clean latent.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 2, midpoint.</remarks>
    public static KohyaSampler DpmSolverPp { get; } = new("dpmsolver++", "DPMSolverMultistepScheduler", _ => 1, WalkDpmSolverPp) { TakesZeroTerminal = true };

    /// <summary>DPM-Solver++ of second order in pairs of steps: the second one starts again where the first did.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 1, midpoint.</remarks>
    public static KohyaSampler DpmSingle { get; } = new("dpmsingle", "DPMSolverSinglestepScheduler", _ => 1, WalkDpmSingle);

    private static Tensor WalkDpmSolverPp(KohyaWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = new KohyaLevels(walk.Schedule).Whole(walk.Steps);
        Tensor? before = null;
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var clean = CleanAt(walk, x, sigmas[i], times[i]);
            var guess = clean;
            if (before is not null && sigmas[i + 1] > 0)
                guess = clean + (clean - before) * (Math.Log(sigmas[i] / sigmas[i + 1]) / (2 * Math.Log(sigmas[i - 1] / sigmas[i])));
            x = Moved(x, guess, sigmas[i], sigmas[i + 1]).MoveToOuterDisposeScope();
            before = clean.MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(i, x, clean));
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor WalkDpmSingle(KohyaWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = new KohyaLevels(walk.Schedule).Whole(walk.Steps);
        Tensor? start = null, before = null;
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var clean = CleanAt(walk, x, sigmas[i], times[i]);
            // First and second order take turns; the last step, and of an even number the last two, are of first order.
            if (i % 2 == 1 && i < walk.Steps - 1)
            {
                var (first, now, to) = (sigmas[i - 1], sigmas[i], sigmas[i + 1]);
                var share = Math.Log(first / to) / (2 * Math.Log(first / now));
                x = Moved(start!, before! + (clean - before!) * share, first, to).MoveToOuterDisposeScope();
            }
            else
            {
                start = x;
                x = Moved(x, clean, sigmas[i], sigmas[i + 1]).MoveToOuterDisposeScope();
            }
            before = clean.MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(i, x, clean));
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor CleanAt(KohyaWalk walk, Tensor x, double sigma, double t)
    {
        var alpha = 1 / Math.Sqrt(sigma * sigma + 1);
        return walk.Split(x, walk.Predict(x, t), alpha, sigma * alpha).Clean;
    }

    /// <summary>From one level to another, x of variance 1, by a guess of the clean latent.</summary>
    private static Tensor Moved(Tensor x, Tensor clean, double from, double to)
    {
        var (alpha, next) = (1 / Math.Sqrt(from * from + 1), 1 / Math.Sqrt(to * to + 1));
        return x * (to * next / (from * alpha)) + clean * (next * (1 - to / from));
    }
}
