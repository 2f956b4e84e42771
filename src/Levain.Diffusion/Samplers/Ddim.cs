using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>Straight steps over the model's own timesteps, without noise unless eta asks for it.</summary>
    /// <remarks>Song et al. 2020, https://arxiv.org/abs/2010.02502, equation 12. The lowest timestep is where the walk ends: it is never evaluated.</remarks>
    public static Sampler Ddim { get; } = new("DDIM", "Straight steps over the model's own timesteps", new("https://arxiv.org/abs/2010.02502"), WalkDdim)
    {
        Aliases = ["ddim"],
        Schedule = null,
    };

    private static Tensor WalkDdim(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (times, alphas, eta) = (walk.Timesteps, walk.Schedule.AlphasCumprod, walk.Options.Eta ?? 0);
        for (var i = 0; i + 1 < times.Count; i++)
        {
            using var step = NewDisposeScope();
            var (t, before) = (times[^(i + 1)], times[^(i + 2)]);
            double alpha = alphas[t], next = alphas[before];
            var noise = walk.PredictNoise(x, t);
            var clean = (x - noise * Math.Sqrt(1 - alpha)) / Math.Sqrt(alpha);
            var fresh = eta * Math.Sqrt((1 - next) / (1 - alpha) * (1 - alpha / next));
            x = clean * Math.Sqrt(next) + noise * Math.Sqrt(1 - next - fresh * fresh) + walk.Noise(t, before) * fresh;
            walk.Report(i, x, clean);
            x = x.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
