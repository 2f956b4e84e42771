using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Mean and variance of a norm's groups, put together from parts of a map and given to the norm as long as this is alive.</summary>
/// <remarks>Chan, Golub and LeVeque 1979, eq. 2.1.</remarks>
/// <param name="norm">The norm.</param>
/// <param name="groups">Groups its channels are cut into.</param>
internal sealed class NormSums(GroupNormLayer norm, long groups) : IDisposable
{
    private double[] mean = [], squares = [];
    private double count;

    /// <param name="part">[1, C, H, W].</param>
    public void Add(Tensor part)
    {
        using var scope = NewDisposeScope();
        var values = part.reshape(groups, -1).to(ScalarType.Float32);
        var (added, size) = (Numbers(values.mean([1L])), (double)values.shape[1]);
        var spread = Numbers(values.var(1L, unbiased: false));
        if (mean.Length == 0) (mean, squares) = (new double[added.Length], new double[added.Length]);
        for (var i = 0; i < added.Length; i++)
        {
            var off = added[i] - mean[i];
            mean[i] += off * size / (count + size);
            squares[i] += spread[i] * size + off * off * count * size / (count + size);
        }
        count += size;

        static double[] Numbers(Tensor tensor) => tensor.to(ScalarType.Float64).cpu().data<double>().ToArray();
    }

    /// <summary>Adds what the norm sees until the result is disposed.</summary>
    /// <param name="part">What of it counts.</param>
    public IDisposable Watch(Func<Tensor, Tensor> part)
    {
        var hook = norm.register_forward_pre_hook((_, x) =>
        {
            using var scope = NewDisposeScope();
            Add(part(x));
            return x;
        });
        return new Undo(hook.remove);
    }

    /// <summary>Lets the norm use what was found.</summary>
    public void Give() => norm.Given = (Of(mean), Of([.. squares.Select(sum => sum / count)]));

    /// <inheritdoc/>
    public void Dispose()
    {
        norm.Given?.Mean.Dispose();
        norm.Given?.Variance.Dispose();
        norm.Given = null;
    }

    private Tensor Of(double[] numbers) => tensor(numbers, ScalarType.Float32, norm.Weight.device).view(1, -1, 1).DetachFromDisposeScope();

    private sealed class Undo(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
