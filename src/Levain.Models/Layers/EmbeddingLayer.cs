using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A table of vectors looked up by number, filled from the file.</summary>
public sealed class EmbeddingLayer : Module<Tensor, Tensor>, IStoredWeight
{
    private Parameter weight;
    private readonly ScalarType dtype;

    /// <param name="count">Rows of the table.</param>
    /// <param name="width">Width of a vector.</param>
    public EmbeddingLayer(long count, long width, Compute compute) : base(nameof(EmbeddingLayer))
    {
        dtype = compute.Dtype;
        weight = Frozen.Empty(compute, count, width);
        RegisterComponents();
    }

    /// <summary>The table, [count, width]; owned by the layer.</summary>
    public Tensor Table => weight;

    /// <summary>Rows behind the table's, [n, width] of any type, for ids from its count on; null: none. Gradients flow to both.</summary>
    public Tensor? Further { get; set; }

    /// <inheritdoc/>
    public void Widen()
    {
        if (Frozen.Widen(ref weight, dtype)) ConditionallyRegisterParameter(nameof(weight), weight);
    }

    /// <param name="ids">Rows wanted, int64 [...].</param>
    /// <returns>Their vectors, [..., width].</returns>
    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        if (Further is { } further)
        {
            var (wanted, count) = (ids.flatten(), weight.size(0));
            var (ours, theirs) = (weight.index_select(0, wanted.clamp_max(count - 1)).to_type(dtype), further.index_select(0, (wanted - count).clamp_min(0)).to_type(dtype));
            return where(wanted.ge(count).unsqueeze(-1), theirs, ours).view([.. ids.shape, weight.size(1)]).MoveToOuterDisposeScope();
        }
        return weight.index_select(0, ids.flatten()).to_type(dtype).view([.. ids.shape, weight.size(1)]).MoveToOuterDisposeScope();
    }
}
