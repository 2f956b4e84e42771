using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    // Adams and Bashforth's weights of the newest guess and those before it.
    private static readonly double[][] AdamsBashforth =
    [
        [3 / 2.0, -1 / 2.0],
        [23 / 12.0, -16 / 12.0, 5 / 12.0],
        [55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0],
    ];

    /// <summary>DDIM's steps with the last four guesses of the noise.</summary>
    /// <remarks>Liu et al. 2022, https://arxiv.org/abs/2202.09778.</remarks>
    public static Sampler Plms { get; } = new("PLMS", "DDIM's steps with the last four guesses", new("https://arxiv.org/abs/2202.09778"), WalkPlms)
    {
        Aliases = ["plms"],
        Schedule = null,
    };

    private static Tensor WalkPlms(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var times = walk.Timesteps;
        var guesses = new List<Tensor>();                                // newest first
        for (var i = 0; i + 1 < times.Count; i++)
        {
            using var step = NewDisposeScope();
            var (t, before) = (times[^(i + 1)], times[^(i + 2)]);
            guesses.Insert(0, walk.PredictNoise(x, t).MoveToOuterDisposeScope());
            if (guesses.Count > AdamsBashforth[^1].Length) guesses.RemoveAt(guesses.Count - 1);

            Tensor noise;
            if (guesses.Count == 1) noise = (guesses[0] + walk.PredictNoise(Move(guesses[0]).X, before)) / 2;
            else noise = guesses.Zip(AdamsBashforth[guesses.Count - 2], (guess, weight) => guess * weight).Aggregate((sum, term) => sum + term);

            var (next, clean) = Move(noise);
            walk.Report(i, next, clean);
            x = next.MoveToOuterDisposeScope();

            (Tensor X, Tensor Clean) Move(Tensor guess)
            {
                double alpha = walk.Schedule.AlphasCumprod[t], to = walk.Schedule.AlphasCumprod[before];
                var guessed = (x - guess * Math.Sqrt(1 - alpha)) / Math.Sqrt(alpha);
                return (guessed * Math.Sqrt(to) + guess * Math.Sqrt(1 - to), guessed);
            }
        }
        return x.MoveToOuterDisposeScope();
    }
}
