using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const double AdaptiveEnd = 1e-5, AdaptiveRelative = 0.05, AdaptiveAbsolute = 0.0078, AdaptiveFirst = 0.05;
    private const double AdaptiveOrder = 3, AdaptiveNoisyOrder = 1.5, AdaptiveAccept = 0.81, AdaptiveNoZero = 1e-8;

    /// <summary>DPM-Solver that chooses the length of each step by the difference between second and third order. Takes no number of steps.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2206.00927, appendix C; the step's length follows Söderlind's integral controller, as in k-diffusion.</remarks>
    public static Sampler DpmAdaptive { get; } = new("DPM adaptive", "Chooses its steps itself; their number is ignored", new("https://arxiv.org/abs/2206.00927"), WalkDpmAdaptive)
    {
        Aliases = ["k_dpm_ad"],
        Eta = 1,
        UsesSeedDelta = true,
    };

    private static Tensor WalkDpmAdaptive(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var eta = walk.Options.Eta ?? 1;
        var (at, last, h) = (Lambda(walk.Plan.Range.Loudest), Lambda(walk.Plan.Range.Quietest), AdaptiveFirst);
        var before = x;
        for (var i = 0; at < last - AdaptiveEnd; i++)
        {
            using var step = NewDisposeScope();
            var to = MathF.Min(last, (float)(at + h));
            var (down, up) = AncestralLambda(at, to, last, eta);
            var solver = new DpmSolverSteps(walk.Denoise, x, at);
            var denoised = solver.Denoised;
            var (low, high) = (solver.Second(down, r1: 1 / 3f), solver.Third(down));
            var allowed = (maximum(low.abs(), before.abs()) * AdaptiveRelative).clamp_min(AdaptiveAbsolute);
            var error = ((low - high) / allowed).pow(2).mean().sqrt().item<float>();

            // Shorter after a large error, longer after a small one, never by much
            var factor = Math.Pow(1 / (error + AdaptiveNoZero), 1 / (eta > 0 ? AdaptiveNoisyOrder : AdaptiveOrder));
            factor = 1 + Math.Atan(factor - 1);
            h *= factor;
            if (factor >= AdaptiveAccept)
            {
                before = low.MoveToOuterDisposeScope();
                x = (high + walk.Noise(MathF.Exp(-at), MathF.Exp(-to)) * up).MoveToOuterDisposeScope();
                at = to;
            }
            walk.Report(i, x, denoised);
        }
        return x.MoveToOuterDisposeScope();
    }
}
