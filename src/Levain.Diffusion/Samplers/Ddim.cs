using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>Straight steps over the model's own timesteps, without noise unless eta asks for it.</summary>
    /// <remarks>Song et al. 2020, https://arxiv.org/abs/2010.02502, equation 12. The lowest timestep is where the walk ends: it is never evaluated.</remarks>
    public static Sampler Ddim { get; } = new("DDIM", "Straight steps over the model's own timesteps", new("https://arxiv.org/abs/2010.02502"),
        (walk, x) => WalkDdim(walk, x, at =>
        {
            var noise = walk.PredictNoise(at.X, at.Time);
            return (noise, noise);
        }))
    {
        Aliases = ["ddim"],
        Eta = 0,
        Schedule = null,
    };

    /// <param name="predict">The noise that is taken out of the latent, and the one that is put back, at a latent and a timestep.</param>
    private static Tensor WalkDdim(SamplerWalk walk, Tensor x, Func<(Tensor X, double Time), (Tensor Out, Tensor Back)> predict)
    {
        using var scope = NewDisposeScope();
        var (times, alphas, eta) = (walk.Timesteps, walk.Schedule.AlphasCumprod, walk.Options.Eta ?? 0);
        for (var i = 0; i + 1 < times.Count; i++)
        {
            using var step = NewDisposeScope();
            var (t, before) = (times[^(i + 1)], times[^(i + 2)]);
            double alpha = alphas[t], next = alphas[before];
            var noise = predict((x, t));
            var clean = (x - noise.Out * Math.Sqrt(1 - alpha)) / Math.Sqrt(alpha);
            var fresh = eta * Math.Sqrt((1 - next) / (1 - alpha) * (1 - alpha / next));
            x = clean * Math.Sqrt(next) + noise.Back * Math.Sqrt(1 - next - fresh * fresh) + walk.Noise(t, before) * fresh;
            walk.Report(i, x, clean);
            x = x.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
