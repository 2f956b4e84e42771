using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>The clean latent as the model guessed it at a moment.</summary>
internal readonly record struct UniPcGuess(UniPcMoment Moment, Tensor Clean);

/// <summary>One step of UniPC: the prediction from the guesses so far, and its correction by the guess at the predicted place.</summary>
/// <remarks>Zhao et al. 2023, https://arxiv.org/abs/2302.04867, algorithms 1 and 2 for data prediction; varying coefficients by its appendix.</remarks>
internal sealed class UniPcStep
{
    private readonly UniPcVariant variant;
    private readonly Tensor newest, straight;
    private readonly List<Tensor> changes;               // of the guess from the newest to an older one, per unit of λ ÷ h
    private readonly double alpha, hh, spread;           // α', −h, B(h)
    private readonly double[] places;                    // of the guesses in units of h, then 1 for the moment to come

    /// <param name="known">Guesses, newest first.</param>
    public UniPcStep(UniPcVariant variant, Tensor x, IReadOnlyList<UniPcGuess> known, UniPcMoment to)
    {
        this.variant = variant;
        var (now, h) = (known[0].Moment, to.Lambda - known[0].Moment.Lambda);
        places = [.. known.Skip(1).Select(guess => (guess.Moment.Lambda - now.Lambda) / h), 1];
        newest = known[0].Clean;
        changes = [.. known.Skip(1).Select((guess, i) => (guess.Clean - newest) / places[i])];
        (alpha, hh) = (to.Alpha, -h);
        spread = variant == UniPcVariant.Bh1 ? hh : Math.Exp(hh) - 1;
        straight = x * (to.Sigma / now.Sigma) - newest * (alpha * (Math.Exp(hh) - 1));
    }

    private int Order => places.Length;

    /// <summary>The latent at the moment to come, from the guesses so far.</summary>
    public Tensor Predicted => variant == UniPcVariant.VaryCoeff
        ? Vary(changes, Inverse(Order - 1), Order - 1, straight)
        : straight - Weighed(changes, Order == 2 ? [0.5] : Weights(Order - 1)) * (alpha * spread);

    /// <summary>The same with the guess at the predicted place.</summary>
    public Tensor Corrected(Tensor clean)
    {
        var change = clean - newest;
        if (variant != UniPcVariant.VaryCoeff)
        {
            var weights = Order == 1 ? [0.5] : Weights(Order);
            return straight - (Weighed(changes, weights[..^1]) + change * weights[^1]) * (alpha * spread);
        }
        var inverse = Inverse(Order);
        var corrected = Vary(changes, inverse, Order - 1, straight);
        // The reference weighs the newest change by the row its loop ended at.
        return corrected - change * (alpha * Phi(Order) * inverse[Math.Max(Order - 2, 0), Order - 1]);
    }

    private Tensor Vary(List<Tensor> given, double[,] inverse, int rows, Tensor from)
    {
        for (var k = 0; k < rows; k++)
        {
            var row = Enumerable.Range(0, given.Count).Select(j => inverse[k, j]).ToArray();
            from = from - Weighed(given, row) * (alpha * Phi(k + 1));
        }
        return from;
    }

    private Tensor Weighed(List<Tensor> given, double[] weights) => given.Count == 0
        ? zeros_like(newest)
        : given.Zip(weights, (tensor, weight) => tensor * weight).Aggregate((sum, term) => sum + term);

    /// <summary>φ-functions of −h: φ₀ = e^x − 1, φₖ = φₖ₋₁ ÷ x − 1 ÷ k!.</summary>
    private double Phi(int k)
    {
        var (phi, factorial) = (Math.Exp(hh) - 1, 1.0);
        for (var i = 1; i <= k; i++)
        {
            phi = phi / hh - 1 / factorial;
            factorial *= i + 1;
        }
        return phi;
    }

    /// <summary>Weights that make the step exact for polynomials over the first <paramref name="count"/> places.</summary>
    private double[] Weights(int count)
    {
        if (count == 0) return [];
        var (matrix, right, factorial) = (new double[count, count], new double[count, 1], 1.0);
        for (var i = 0; i < count; i++)
        {
            for (var j = 0; j < count; j++) matrix[i, j] = Math.Pow(places[j], i);
            factorial *= i + 1;
            right[i, 0] = Phi(i + 1) * factorial / spread;
        }
        var solved = Solve(matrix, right);
        return [.. Enumerable.Range(0, count).Select(i => solved[i, 0])];
    }

    /// <summary>Inverse of the matrix whose row is a place and whose column k holds its k-th power ÷ (k + 1)!.</summary>
    private double[,] Inverse(int count)
    {
        var (matrix, one) = (new double[count, count], new double[count, count]);
        for (var i = 0; i < count; i++)
        {
            var value = 1.0;
            for (var k = 0; k < count; k++)
            {
                matrix[i, k] = value;
                value *= places[i] / (k + 2);
            }
            one[i, i] = 1;
        }
        return Solve(matrix, one);
    }

    /// <summary>Gauss and Jordan's elimination with pivots; matrices of at most a few rows.</summary>
    private static double[,] Solve(double[,] matrix, double[,] right)
    {
        var (n, columns) = (matrix.GetLength(0), right.GetLength(1));
        for (var i = 0; i < n; i++)
        {
            var pivot = Enumerable.Range(i, n - i).MaxBy(row => Math.Abs(matrix[row, i]));
            for (var j = 0; j < n; j++) (matrix[i, j], matrix[pivot, j]) = (matrix[pivot, j], matrix[i, j]);
            for (var j = 0; j < columns; j++) (right[i, j], right[pivot, j]) = (right[pivot, j], right[i, j]);
            for (var row = 0; row < n; row++)
            {
                var share = row == i ? 0 : matrix[row, i] / matrix[i, i];
                for (var j = 0; j < n; j++) matrix[row, j] -= share * matrix[i, j];
                for (var j = 0; j < columns; j++) right[row, j] -= share * right[i, j];
            }
        }
        for (var i = 0; i < n; i++)
            for (var j = 0; j < columns; j++) right[i, j] /= matrix[i, i];
        return right;
    }
}
