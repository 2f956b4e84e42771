using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM-Solver++ of third order over several steps, for the stochastic equation.</summary>
    /// <remarks>k-diffusion's <c>sample_dpmpp_3m_sde</c>.</remarks>
    public static Sampler DpmPp3MSde { get; } = new("DPM++ 3M SDE", "The last three guesses, Brownian noise", KDiffusion, WalkDpmPp3MSde)
    {
        Aliases = ["k_dpmpp_3m_sde"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Exponential,
        DiscardsPenultimate = true,
        Brownian = true,
    };

    private static Tensor WalkDpmPp3MSde(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var eta = walk.Options.Eta ?? 1;
        var before = new List<(Tensor Denoised, double H)>();            // newest first, two of them
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            var h = Math.Log(from / to);                                 // infinite at the end
            var next = denoised;
            if (to > 0)
            {
                var whole = h * (1 + eta);
                var phi2 = (Math.Exp(-whole) - 1) / whole + 1;
                next = x * Math.Exp(-whole) + denoised * (1 - Math.Exp(-whole));
                if (before is [var last, var older])
                {
                    var (r0, r1) = (last.H / h, older.H / h);
                    var newer = (denoised - last.Denoised) / r0;
                    var change = newer - (last.Denoised - older.Denoised) / r1;
                    next = next + (newer + change * (r0 / (r0 + r1))) * phi2 - change * ((phi2 / whole - 0.5) / (r0 + r1));
                }
                else if (before is [var only]) next = next + (denoised - only.Denoised) * (phi2 * h / only.H);
                if (eta > 0) next = next + walk.Noise(from, to) * SdeNoise(to, eta * h, walk.Options.NoiseScale);
            }
            x = next.MoveToOuterDisposeScope();
            before.Insert(0, (denoised.alias().MoveToOuterDisposeScope(), h));
            if (before.Count > 2) before.RemoveAt(2);
        }
        return x.MoveToOuterDisposeScope();
    }
}
