using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class KohyaSamplers
{
    // Runge and Kutta's weights of the four calls a first step makes; then Adams and Bashforth's of the newest four.
    private static readonly double[] RungeKutta = [1 / 6.0, 1 / 3.0, 1 / 3.0, 1 / 6.0];
    private static readonly double[] FourSlopes = [55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0];

    /// <summary>Three steps of Runge and Kutta, then the last four guesses.</summary>
    /// <remarks>Liu et al. 2022, https://arxiv.org/abs/2202.09778, algorithm 2 and equation 9.</remarks>
    public static KohyaSampler Pndm { get; } = new("pndm", "PNDMScheduler", _ => 1, WalkPndm);

    private static Tensor WalkPndm(KohyaWalk walk, Tensor x)
    {
        const int FirstSteps = 3;
        using var scope = NewDisposeScope();
        var stride = walk.Schedule.Steps / walk.Steps;
        var times = Enumerable.Range(0, walk.Steps).Select(i => i * stride + walk.Offset).Reverse().ToList();
        var half = stride / 2;
        var guesses = new List<Tensor>();                                // newest first
        var call = 0;
        for (var n = 0; n < Math.Min(FirstSteps, walk.Steps); n++)
        {
            // At the start, twice in the middle, at the end of the step. Of an odd stride the middle is counted from the end, but first gone to from the start.
            var (t, from) = (times[n], x);
            int[] asked = [t, t - stride + half, t - stride + half, t - stride];
            int[] reached = [t - half, t - stride + half, t - stride, t - stride];
            Tensor? sum = null;
            for (var k = 0; k < asked.Length; k++)
            {
                using var step = NewDisposeScope();
                var guess = walk.Predict(x, asked[k]);
                if (k == 0) guesses.Insert(0, guess.alias().MoveToOuterDisposeScope());
                var weighed = guess * RungeKutta[k];
                sum = (sum is null ? weighed : sum + weighed).MoveToOuterDisposeScope();
                x = Carried(walk, from, t, reached[k], k == asked.Length - 1 ? sum : guess).MoveToOuterDisposeScope();
                walk.OnStep?.Invoke(new(call++, x, x));
            }
        }
        for (var i = FirstSteps; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            guesses.Insert(0, walk.Predict(x, times[i]).MoveToOuterDisposeScope());
            if (guesses.Count > FourSlopes.Length) guesses.RemoveAt(FourSlopes.Length);
            var guess = guesses.Zip(FourSlopes, (known, weight) => known * weight).Aggregate((sum, term) => sum + term);
            x = Carried(walk, x, times[i], times[i] - stride, guess).MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(call++, x, x));
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>From one timestep to another by a guess; below the first one the schedule stands still.</summary>
    private static Tensor Carried(KohyaWalk walk, Tensor x, int from, int to, Tensor said)
    {
        var alphas = walk.Schedule.AlphasCumprod;
        double alpha = alphas[from], next = alphas[Math.Max(to, 0)];
        var noise = walk.Split(x, said, Math.Sqrt(alpha), Math.Sqrt(1 - alpha)).Noise;
        var scale = alpha * Math.Sqrt(1 - next) + Math.Sqrt(alpha * (1 - alpha) * next);
        return x * Math.Sqrt(next / alpha) - noise * ((next - alpha) / scale);
    }
}
