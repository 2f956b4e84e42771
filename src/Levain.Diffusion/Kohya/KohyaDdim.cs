using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class KohyaSamplers
{
    /// <summary>DDIM over every ⌊1000 ÷ n⌋-th timestep down to the first, where it ends in the clean latent.</summary>
    /// <remarks>Song et al. 2020, https://arxiv.org/abs/2010.02502, equation 12; previews cut the clean latent to ±1.</remarks>
    public static KohyaSampler Ddim { get; } = new("ddim", "DDIMScheduler", _ => 1, WalkDdim) { TakesZeroTerminal = true };

    private static Tensor WalkDdim(KohyaWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var alphas = walk.Schedule.AlphasCumprod;
        var stride = alphas.Length / walk.Steps;
        for (var i = 0; i < walk.Steps; i++)
        {
            using var step = NewDisposeScope();
            var t = (walk.Steps - 1 - i) * stride + walk.Offset;
            double alpha = alphas[t], next = t >= stride ? alphas[t - stride] : 1;
            var (clean, noise) = walk.Split(x, walk.Predict(x, t), Math.Sqrt(alpha), Math.Sqrt(1 - alpha));
            clean = walk.Clipped(clean);
            var fresh = walk.Eta * Math.Sqrt((1 - next) / (1 - alpha) * (1 - alpha / next));
            x = clean * Math.Sqrt(next) + noise * Math.Sqrt(1 - next - fresh * fresh);
            if (walk.Eta > 0) x = x + walk.Noise() * fresh;
            x = x.MoveToOuterDisposeScope();
            walk.OnStep?.Invoke(new(i, x, clean));
        }
        return x.MoveToOuterDisposeScope();
    }
}
