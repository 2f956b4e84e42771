namespace Levain.Diffusion;

/// <summary>The Beta distribution on 0..1, for the schedule of that name.</summary>
internal static class BetaDistribution
{
    private const int Terms = 300, Halvings = 200;
    private const double Tiny = 1e-300, Converged = 1e-16;

    // Lanczos' coefficients for g = 7, nine terms.
    private static readonly double[] Lanczos =
    [
        0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
        12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
    ];

    /// <summary>x with P(X ≤ x) = <paramref name="share"/>, by halving.</summary>
    public static double Quantile(double share, double a, double b)
    {
        if (share <= 0) return 0;
        if (share >= 1) return 1;
        var (low, high) = (0.0, 1.0);
        for (var i = 0; i < Halvings && high - low > double.Epsilon; i++)
        {
            var middle = (low + high) / 2;
            if (Cumulative(middle, a, b) < share) low = middle;
            else high = middle;
        }
        return (low + high) / 2;
    }

    /// <summary>The regularised incomplete beta function I_x(a, b).</summary>
    private static double Cumulative(double x, double a, double b)
    {
        if (x <= 0) return 0;
        if (x >= 1) return 1;
        var front = Math.Exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * Math.Log(x) + b * Math.Log(1 - x));
        return x < (a + 1) / (a + b + 2) ? front * Fraction(x, a, b) / a : 1 - front * Fraction(1 - x, b, a) / b;
    }

    /// <summary>Continued fraction of I_x by Lentz' method (DLMF 8.17.22).</summary>
    private static double Fraction(double x, double a, double b)
    {
        double c = 1, d = Invert(1 - (a + b) * x / (a + 1)), result = d;
        for (var m = 1; m < Terms; m++)
        {
            Take(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
            if (Math.Abs(Take(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))) - 1) < Converged) break;
        }
        return result;

        double Take(double term)
        {
            d = Invert(1 + term * d);
            c = 1 + term / c;
            if (Math.Abs(c) < Tiny) c = Tiny;
            result *= c * d;
            return c * d;
        }

        static double Invert(double value) => 1 / (Math.Abs(value) < Tiny ? Tiny : value);
    }

    private static double LogGamma(double z)
    {
        if (z < 0.5) return Math.Log(Math.PI / Math.Sin(Math.PI * z)) - LogGamma(1 - z);      // reflection
        z--;
        var t = z + Lanczos.Length - 1.5;
        var sum = Lanczos[0];
        for (var i = 1; i < Lanczos.Length; i++) sum += Lanczos[i] / (z + i);
        return Math.Log(Math.Tau) / 2 + (z + 0.5) * Math.Log(t) - t + Math.Log(sum);
    }
}
