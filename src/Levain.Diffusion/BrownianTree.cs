using System.Globalization;
using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>A Brownian motion over noise levels that is the same whatever steps are asked of it, in whatever order: what stochastic samplers draw from.</summary>
/// <remarks>torchsde's <c>BrownianTree</c> (halfway tree, tolerance 1e-6, pool of 24): intervals are halved until an edge is hit; each half is bridged by noise of a seed that its place in the tree gives.</remarks>
public sealed class BrownianTree
{
    private const int Pool = 24, Decimals = 6, Digits = 40;

    private readonly NoiseKind kind;
    private readonly ulong entropy;
    private readonly long[] shape;
    private readonly double start, end, length;

    /// <param name="kind">Which random numbers seeds stand for.</param>
    /// <param name="seed">Seed of the picture.</param>
    /// <param name="span">Quietest and loudest level it runs over.</param>
    /// <param name="shape">Shape of one picture's latent, [4, H, W].</param>
    public BrownianTree(NoiseKind kind, long seed, (double Quietest, double Loudest) span, params long[] shape)
    {
        (this.kind, entropy, this.shape) = (kind, (ulong)seed, shape);
        (start, end, length) = (Rounded(span.Quietest), Rounded(span.Loudest), span.Loudest - span.Quietest);
    }

    /// <summary>Noise of deviation 1 for the way between two levels; the caller's scope owns it. Downwards it has the other sign than upwards.</summary>
    public Tensor Noise(double from, double to)
    {
        using var scope = NewDisposeScope();
        var (low, high) = from < to ? (from, to) : (to, from);
        var (a, b) = (Math.Clamp(Rounded(low), start, end), Math.Clamp(Rounded(high), start, end));
        if (a == b) return zeros(shape).MoveToOuterDisposeScope();
        var whole = Draw(new SeedSequence(entropy, [], Pool).State(1)[0]) * Math.Sqrt(length);
        var way = Increment(new(start, end, 0, 0), whole, a, b);
        return (way / Math.Sqrt(high - low) * (from < to ? 1 : -1)).MoveToOuterDisposeScope();
    }

    /// <summary>What the motion does from a to b, both within an interval over which it does <paramref name="whole"/>.</summary>
    private Tensor Increment(Interval interval, Tensor whole, double a, double b)
    {
        if (a == interval.Start && b == interval.End) return whole;
        var middle = Rounded(0.5 * (interval.End + interval.Start));
        var (left, right) = (middle - interval.Start, interval.End - middle);
        var seed = new SeedSequence(entropy, [interval.Key, interval.Depth], Pool).State(1)[0];
        var onLeft = whole * (left / (left + right)) + Draw(seed) * Math.Sqrt(left * right / (left + right));
        if (b <= middle) return Increment(interval.Left(middle), onLeft, a, b);
        var onRight = whole - onLeft;
        if (a >= middle) return Increment(interval.Right(middle), onRight, a, b);
        return Increment(interval.Left(middle), onLeft, a, middle) + Increment(interval.Right(middle), onRight, middle, b);
    }

    private Tensor Draw(uint seed)
    {
        using var noise = new SeedNoise(kind, seed, shape);
        return noise.Next();
    }

    /// <summary>To six decimals by the number's exact value, a tie to the even digit: Python's <c>round</c>.</summary>
    private static double Rounded(double level)
    {
        var exact = level.ToString($"F{Digits}", CultureInfo.InvariantCulture);          // .NET writes every digit a double has
        var kept = decimal.Parse(exact[..^(Digits - Decimals)], CultureInfo.InvariantCulture);
        var rest = exact[^(Digits - Decimals)..];
        var half = "5".PadRight(rest.Length, '0');
        var odd = (exact[^(Digits - Decimals + 1)] - '0') % 2 == 1;
        var up = string.CompareOrdinal(rest, half) is var side && (side > 0 || side == 0 && odd);
        return (double)(up ? kept + 0.000001m : kept);
    }

    private readonly record struct Interval(double Start, double End, ulong Key, ulong Depth)
    {
        public Interval Left(double middle) => new(Start, middle, 2 * Key, Depth + 1);

        public Interval Right(double middle) => new(middle, End, 2 * Key + 1, Depth + 1);
    }
}
