using System.Collections.Immutable;

namespace Levain.Diffusion;

/// <summary>How much of the picture is left at each step of the forward process: ᾱ[t], from almost 1 at t = 0 to almost 0 at the last.</summary>
/// <remarks>
/// Ho et al. 2020, https://arxiv.org/abs/2006.11239, equation 4; the square roots of β rise linearly, as Stable Diffusion's do.
/// Two roundings of the same numbers are in use, up to 5e-7 apart: trainers compute β in fp32, samplers in fp64. Both are written
/// out here number by number, so that they are the same bits on every processor.
/// </remarks>
public sealed class NoiseSchedule
{
    private const int Sd1Steps = 1000;
    private const double Sd1FirstBeta = 0.00085, Sd1LastBeta = 0.012;

    // Samplers divide by ᾱ, so a terminal signal of exactly zero is kept a hair above it (sgm's number).
    private const float TerminalAlpha = 4.8973451890853435e-08f;

    private NoiseSchedule(IEnumerable<float> alphasCumprod)
    {
        AlphasCumprod = [.. alphasCumprod];
        Sigmas = [.. AlphasCumprod.Select(alpha => MathF.Sqrt((1 - alpha) / alpha))];
    }

    /// <summary>ᾱ[t] in fp32: the share of the picture's variance left at timestep t.</summary>
    public ImmutableArray<float> AlphasCumprod { get; }

    /// <summary>σ[t] = √((1 − ᾱ) ÷ ᾱ) in fp32, rising with t: noise per unit of picture.</summary>
    public ImmutableArray<float> Sigmas { get; }

    /// <summary>Timesteps of the forward process: 1000.</summary>
    public int Steps => AlphasCumprod.Length;

    /// <summary>SD 1's schedule as trainers compute it: diffusers' <c>scaled_linear</c>, β in fp32.</summary>
    public static NoiseSchedule Sd1() => new(Cumprod(FloatBetas()));

    /// <summary>SD 1's schedule as samplers compute it: CompVis' code, everything in fp64, then rounded.</summary>
    public static NoiseSchedule Sd1ForSampling()
    {
        var (first, last) = (Math.Sqrt(Sd1FirstBeta), Math.Sqrt(Sd1LastBeta));
        var alphas = new float[Sd1Steps];
        var product = 1.0;
        for (var t = 0; t < Sd1Steps; t++)
        {
            var root = first + t / (Sd1Steps - 1.0) * (last - first);
            alphas[t] = (float)(product *= 1 - root * root);
        }
        return new(alphas);
    }

    /// <summary><see cref="Sd1"/> shifted so that nothing of the picture is left at the last timestep: ᾱ = 0 exactly.</summary>
    /// <remarks>Lin et al. 2023, https://arxiv.org/abs/2305.08891, algorithm 1, back through β as kohya does.</remarks>
    public static NoiseSchedule Sd1ZeroTerminal()
    {
        var shifted = ShiftToZero(Sd1().AlphasCumprod);
        return new(Cumprod(shifted.Select((alpha, t) => 1 - (t == 0 ? alpha : alpha / shifted[t - 1]))));
    }

    /// <summary>The zero-terminal form of a sampling schedule; the last ᾱ is 4.9e-8, since samplers divide by it.</summary>
    public NoiseSchedule WithZeroTerminalForSampling() => new([.. ShiftToZero(AlphasCumprod)[..^1], TerminalAlpha]);

    /// <summary>fp32 β as libtorch's <c>linspace(...)²</c> rounds them: counted from the nearer end, the step fused.</summary>
    private static IEnumerable<float> FloatBetas()
    {
        float first = (float)Math.Sqrt(Sd1FirstBeta), last = (float)Math.Sqrt(Sd1LastBeta), step = (last - first) / (Sd1Steps - 1);
        for (var t = 0; t < Sd1Steps; t++)
        {
            var root = t < Sd1Steps / 2
                ? MathF.FusedMultiplyAdd(step, t, first)
                : MathF.FusedMultiplyAdd(-step, Sd1Steps - 1 - t, last);
            yield return root * root;
        }
    }

    /// <summary>Π(1 − β), each factor in fp32, their product in fp64.</summary>
    private static IEnumerable<float> Cumprod(IEnumerable<float> betas)
    {
        var product = 1.0;
        foreach (var beta in betas) yield return (float)(product *= 1 - beta);
    }

    /// <summary>√ᾱ moved and stretched so that the first stays and the last becomes 0, then squared.</summary>
    private static float[] ShiftToZero(ImmutableArray<float> alphasCumprod)
    {
        float first = MathF.Sqrt(alphasCumprod[0]), last = MathF.Sqrt(alphasCumprod[^1]), stretch = first / (first - last);
        return [.. alphasCumprod.Select(alpha => (MathF.Sqrt(alpha) - last) * stretch).Select(root => root * root)];
    }
}
