using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const int DpmFastOrder = 3;

    /// <summary>DPM-Solver of third order with a fixed number of model calls; finds its own levels between the loudest and the quietest.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2206.00927, section 3.4; noise added as in ancestral samplers.</remarks>
    public static Sampler DpmFast { get; } = new("DPM fast", "Third order, levels of its own", new("https://arxiv.org/abs/2206.00927"), WalkDpmFast)
    {
        Aliases = ["k_dpm_fast"],
        Eta = 1,
        ScalesNoise = true,
        UsesSeedDelta = true,
    };

    private static Tensor WalkDpmFast(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (calls, last) = (walk.Plan.Budget, Lambda(walk.Plan.Range.Quietest));
        var strides = calls / DpmFastOrder + 1;
        var lambdas = SigmaSchedules.Even(Lambda(walk.Plan.Range.Loudest), last, strides + 1).Select(lambda => (float)lambda).ToList();
        // All of third order, the last ones lower, so that the calls add up.
        List<int> orders = calls % DpmFastOrder == 0
            ? [.. Enumerable.Repeat(DpmFastOrder, Math.Max(strides - 2, 0)), 2, 1]
            : [.. Enumerable.Repeat(DpmFastOrder, strides - 1), calls % DpmFastOrder];
        for (var i = 0; i < orders.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (lambdas[i], lambdas[i + 1]);
            var (down, up) = AncestralLambda(from, to, last, walk.Options.Eta ?? 1);
            var solver = new DpmSolverSteps(walk.Denoise, x, from);
            walk.Report(i, x, solver.Denoised);
            var next = orders[i] switch
            {
                1 => solver.First(down),
                2 => solver.Second(down, r1: 0.5f),
                _ => solver.Third(down),
            };
            x = (next + walk.Noise(MathF.Exp(-from), MathF.Exp(-to)) * (walk.Options.NoiseScale * up)).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>λ = −ln σ. Solvers that find their own levels do so in fp32, as the reference does: small differences of levels show in the picture.</summary>
    private static float Lambda(double sigma) => -MathF.Log((float)sigma);

    /// <summary>Where to go down to in λ, not beyond <paramref name="last"/>, and the noise to add afterwards.</summary>
    private static (float Down, float Up) AncestralLambda(float from, float to, float last, double eta)
    {
        if (eta == 0) return (to, 0);
        float high = MathF.Exp(-from), low = MathF.Exp(-to);
        var up = MathF.Min(low, (float)eta * MathF.Sqrt(low * low * (high * high - low * low) / (high * high)));
        var down = MathF.Min(last, -MathF.Log(MathF.Sqrt(low * low - up * up)));
        var reached = MathF.Exp(-down);
        return (down, MathF.Sqrt(MathF.Max(low * low - reached * reached, 0)));
    }
}
