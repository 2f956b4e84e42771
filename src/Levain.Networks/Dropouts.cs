using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What one forward pass of one adapter drops.</summary>
/// <param name="Skip">The adapter is left out.</param>
/// <param name="Mask">Factors on the inner activations, the neurons' 1/(1−p) included; null: all 1. Owned by the step's scope.</param>
/// <param name="Scale">Factor on the delta that makes up for dropped ranks.</param>
/// <param name="Rows">Factors on the output rows of ΔW, [Out]; null: all 1. Owned by the step's scope.</param>
public sealed record Drops(bool Skip, Tensor? Mask, double Scale, Tensor? Rows = null);

/// <summary>What rank dropout acts on.</summary>
internal enum RankDrops
{
    /// <summary>Each sample's inner activations, the rest scaled up: kohya.</summary>
    Samples,

    /// <summary>Output rows of the delta, nothing scaled up: LyCORIS.</summary>
    Rows,

    /// <summary>L-05: as <see cref="Rows"/>, but the share that should go stays, and the other goes; drawn twice, and the second counts.</summary>
    OthersRows,

    /// <summary>Inner channels of the whole batch, nothing scaled up: LyCORIS in bypass mode.</summary>
    Channels,

    /// <summary>Nothing here: the family drops in its own way, or not at all.</summary>
    Own,
}

/// <summary>kohya's and LyCORIS' dropouts, drawn from the run's generator.</summary>
internal static class Dropouts
{
    /// <summary>Draws for an adapter; null where nothing can be dropped.</summary>
    public static Drops? Draw(Adapter adapter, Tensor x)
    {
        var numbers = adapter.Numbers;
        if (adapter.DropoutSource is not { } source || !numbers.Drops) return null;
        using var frozen = no_grad();
        if (Given(numbers.ModuleDropout) is { } module)
        {
            using var draw = rand(1, generator: source);
            if (draw.item<float>() < (float)module) return new(true, null, 1);
        }
        return adapter.RankDrops switch
        {
            RankDrops.Samples => Samples(adapter, x, source),
            RankDrops.Rows when numbers.RankDropout is > 0 and var share => new(false, null, 1, Kept(adapter, adapter.Site.Layer.Shape.Out, share, source)),
            RankDrops.OthersRows when numbers.RankDropout is > 0 and var share => new(false, null, 1, Kept(2 * adapter.Site.Layer.Shape.Out, share, source).chunk(2)[1].neg().add(1)),
            RankDrops.Channels when numbers.RankDropout is > 0 and var share => new(false, Kept(adapter, numbers.Rank, share, source), 1),
            _ => new(false, null, 1),
        };

        // LyCORIS draws nothing for a share of 0; kohya's own networks do.
        double? Given(double? share) => share > 0 || adapter.Family.Origin == AdapterOrigin.Kohya ? share : null;
    }

    /// <summary>As <see cref="Kept(long, double, Generator)"/>, scaled up where the adapter's form asks for it.</summary>
    public static Tensor Kept(Adapter adapter, long count, double share, Generator source)
    {
        var kept = Kept(count, share, source);
        return adapter.Numbers.Form.ScaledRankDropout ? kept.div_(kept.mean()) : kept;
    }

    /// <summary>1 where one of <paramref name="count"/> things stays, else 0. The caller's scope owns it.</summary>
    public static Tensor Kept(long count, double share, Generator source)
    {
        using var scope = NewDisposeScope();
        return rand([count], ScalarType.Float32, generator: source).gt(share).to_type(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>torch's dropout: elements are 0, or 1 ÷ (1 − share). The caller's scope owns it.</summary>
    public static Tensor Elements(long[] shape, double share, Generator source)
    {
        // As libtorch's bernoulli_ on processors that are not Intel's (there MKL draws one number for all): a 53-bit uniform for each.
        using var scope = NewDisposeScope();
        var keep = 1 - share;
        return rand(shape, ScalarType.Float64, generator: source).lt(keep).to_type(ScalarType.Float32).div_(keep).MoveToOuterDisposeScope();
    }

    private static Drops Samples(Adapter adapter, Tensor x, Generator source)
    {
        var numbers = adapter.Numbers;
        if (adapter.InnerShape(x) is not { } shape) return new(false, null, 1);
        using var scope = NewDisposeScope();
        var mask = numbers.Dropout > 0 ? Elements(shape, numbers.Dropout, source) : null;
        if (numbers.RankDropout is { } share)
        {
            var kept = rand([shape[0], numbers.Rank], ScalarType.Float32, generator: source).gt(share).to_type(ScalarType.Float32);
            var ranks = shape.Length switch
            {
                3 => kept.unsqueeze(1),                     // [B, 1, r] over the sequence
                4 => kept.unsqueeze(-1).unsqueeze(-1),      // [B, r, 1, 1] over both spatial axes
                _ => kept,
            };
            mask = mask is null ? ranks.expand(shape) : mask * ranks;
        }
        return new(false, mask?.to_type(x.dtype).MoveToOuterDisposeScope(), 1 / (1 - (numbers.RankDropout ?? 0)));
    }
}
