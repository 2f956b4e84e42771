using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>A predictor and a corrector that share one model call a step, over the model's continuous time.</summary>
    /// <remarks>Zhao et al. 2023, https://arxiv.org/abs/2302.04867, in the form that predicts the clean latent; the webui begins at the model's last moment and asks it at fractional timesteps.</remarks>
    public static Sampler UniPc { get; } = new("UniPC", "Predictor and corrector with one model call a step", new("https://arxiv.org/abs/2302.04867"), WalkUniPc)
    {
        Aliases = ["unipc"],
        Schedule = null,
    };

    private static Tensor WalkUniPc(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (options, steps) = (walk.Options.UniPc, walk.Timesteps.Count);
        if (steps == 0) return x.alias().MoveToOuterDisposeScope();
        var clock = new UniPcClock(walk.Schedule);
        var times = clock.Times(options.Spacing, walk.Plan.FromPicture ? clock.TimeOf(walk.Timesteps[^1]) : 1, steps);
        var order = Math.Min(options.Order, steps);
        var known = new List<UniPcGuess> { Ask(x, times[0]) };           // newest last
        for (var i = 1; i <= steps; i++)
        {
            using var step = NewDisposeScope();
            var to = clock.At(times[i]);
            var used = i < order ? i : options.LowerOrderFinal ? Math.Min(order, steps + 1 - i) : order;
            var update = new UniPcStep(options.Variant, x, [.. known.AsEnumerable().Reverse().Take(used)], to);
            var next = update.Predicted;
            if (i < steps)
            {
                var fresh = Ask(next, times[i]);
                next = update.Corrected(fresh.Clean);
                known.Add(fresh with { Clean = fresh.Clean.MoveToOuterDisposeScope() });
                if (known.Count > order) known.RemoveAt(0);
            }
            walk.Report(i - 1, next, known[^1].Clean);
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();

        UniPcGuess Ask(Tensor at, double time)
        {
            var moment = clock.At(time);
            return new(moment, (at - walk.PredictNoise(at, clock.TimestepOf(time)) * moment.Sigma) / moment.Alpha);
        }
    }
}
