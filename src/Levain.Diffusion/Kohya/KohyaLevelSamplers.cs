using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class KohyaSamplers
{
    private const int LmsOrder = 4;

    /// <summary>One straight step a level.</summary>
    public static KohyaSampler Euler { get; } = OverLevels("euler", "EulerDiscreteScheduler", ["k_euler"], (walk, levels, x) => Steps(walk, levels, x, noisy: false)) with { TakesZeroTerminal = true };

    /// <summary>Euler with fresh noise each step, the last one too.</summary>
    public static KohyaSampler EulerAncestral { get; } = OverLevels("euler_a", "EulerAncestralDiscreteScheduler", ["k_euler_a"], (walk, levels, x) => Steps(walk, levels, x, noisy: true)) with { TakesZeroTerminal = true };

    /// <summary>A polynomial through the last four slopes.</summary>
    public static KohyaSampler Lms { get; } = OverLevels("lms", "LMSDiscreteScheduler", ["k_lms"], WalkLms);

    /// <summary>Two calls a step, the mean of both slopes; previews cut the clean latent to ±1.</summary>
    public static KohyaSampler Heun { get; } = OverLevels("heun", "HeunDiscreteScheduler", [], WalkHeun);

    /// <summary>A step with the slope of its logarithmic middle.</summary>
    public static KohyaSampler Dpm2 { get; } = OverLevels("dpm_2", "KDPM2DiscreteScheduler", ["k_dpm_2"], (walk, levels, x) => WalkDpm2(walk, levels, x, noisy: false));

    /// <summary>The same towards less noise, with fresh noise behind it.</summary>
    public static KohyaSampler Dpm2Ancestral { get; } = OverLevels("dpm_2_a", "KDPM2AncestralDiscreteScheduler", ["k_dpm_2_a"], (walk, levels, x) => WalkDpm2(walk, levels, x, noisy: true));

    private static KohyaSampler OverLevels(string name, string scheduler, IReadOnlyList<string> aliases, Func<KohyaWalk, KohyaLevels, Tensor, Tensor> steps) =>
        new(name, scheduler, walk => new KohyaLevels(walk.Schedule).Fractional(walk.Steps).Sigmas[0], (walk, x) => steps(walk, new(walk.Schedule), x)) { Aliases = aliases };

    /// <summary>The clean latent at a level.</summary>
    private static Tensor Clean(KohyaWalk walk, Tensor x, double sigma, double t)
    {
        var size = Math.Sqrt(sigma * sigma + 1);
        var said = walk.Predict(x / size, t);
        return walk.PredictsV ? said * (-sigma / size) + x / (size * size) : x - said * sigma;
    }

    /// <summary>Where to go down to and the noise to add, in fp32 as diffusers takes them: from a level of thousands the small difference of squares shows.</summary>
    private static (double Down, double Up) Ancestral(double from, double to)
    {
        float high = (float)from, low = (float)to;
        var up = MathF.Sqrt(low * low * (high * high - low * low) / (high * high));
        return (MathF.Sqrt(MathF.Max(low * low - up * up, 0)), up);
    }

    private static Tensor Steps(KohyaWalk walk, KohyaLevels levels, Tensor x, bool noisy)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = levels.Fractional(walk.Steps);
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (sigmas[i], sigmas[i + 1]);
            var clean = Clean(walk, x, from, times[i]);
            var (down, up) = noisy ? Ancestral(from, to) : (to, 0);
            x = x + Samplers.Slope(x, from, clean) * (down - from);
            if (noisy) x = x + walk.Noise() * up;
            x = x.MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(i, x, clean));
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor WalkLms(KohyaWalk walk, KohyaLevels levels, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = levels.Fractional(walk.Steps);
        var slopes = new List<Tensor>();                                 // newest first
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var clean = Clean(walk, x, sigmas[i], times[i]);
            slopes.Insert(0, Samplers.Slope(x, sigmas[i], clean).MoveToOuterDisposeScope());
            if (slopes.Count > LmsOrder) slopes.RemoveAt(LmsOrder);
            x = slopes.Select((slope, j) => slope * Samplers.LmsIntegral(sigmas, i, j, slopes.Count)).Aggregate(x, (sum, term) => sum + term).MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(i, x, clean));
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor WalkHeun(KohyaWalk walk, KohyaLevels levels, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = levels.Fractional(walk.Steps);
        var call = 0;
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (sigmas[i], sigmas[i + 1]);
            var clean = walk.Clipped(Clean(walk, x, from, times[i]));
            var slope = Samplers.Slope(x, from, clean);
            var next = x + slope * (to - from);
            walk.OnStep?.Invoke(new(call++, next, clean));
            if (to > 0)
            {
                clean = walk.Clipped(Clean(walk, next, to, times[i + 1]));
                next = x + (slope + Samplers.Slope(next, to, clean)) / 2 * (to - from);
                walk.OnStep?.Invoke(new(call++, next, clean));
            }
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor WalkDpm2(KohyaWalk walk, KohyaLevels levels, Tensor x, bool noisy)
    {
        using var scope = NewDisposeScope();
        var (times, sigmas) = levels.Fractional(walk.Steps);
        var call = 0;
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (sigmas[i], sigmas[i + 1]);
            var (down, up) = noisy ? Ancestral(from, to) : (to, 0);
            var middle = Math.Sqrt(from * down);
            var clean = Clean(walk, x, from, times[i]);
            var next = x + Samplers.Slope(x, from, clean) * (middle - from);
            walk.OnStep?.Invoke(new(call++, next, clean));
            if (to > 0)
            {
                clean = Clean(walk, next, middle, levels.TimestepOf(middle));
                next = x + Samplers.Slope(next, middle, clean) * (down - from);
                if (noisy) next = next + walk.Noise() * up;
                walk.OnStep?.Invoke(new(call++, next, clean));
            }
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
