using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What one forward pass of one adapter drops.</summary>
/// <param name="Skip">The adapter is left out.</param>
/// <param name="Mask">Factors on the inner activations, the neurons' 1/(1−p) included; null: all 1. Owned by the step's scope.</param>
/// <param name="Scale">Factor on the delta that makes up for dropped ranks.</param>
public sealed record Drops(bool Skip, Tensor? Mask, double Scale);

/// <summary>kohya's three dropouts, drawn from the run's generator.</summary>
internal static class Dropouts
{
    /// <summary>Draws for an adapter; null where nothing can be dropped.</summary>
    public static Drops? Draw(Adapter adapter, Tensor x)
    {
        var numbers = adapter.Numbers;
        if (adapter.DropoutSource is not { } source || numbers is { Dropout: 0, RankDropout: 0, ModuleDropout: 0 }) return null;
        using var frozen = no_grad();
        if (numbers.ModuleDropout > 0)
        {
            using var draw = rand(1, generator: source);
            if (draw.item<float>() < (float)numbers.ModuleDropout) return new(true, null, 1);
        }
        if (adapter.InnerShape(x) is not { } shape) return new(false, null, 1);
        using var scope = NewDisposeScope();
        Tensor? mask = null;
        if (numbers.Dropout > 0)
        {
            // As libtorch's bernoulli_ on processors that are not Intel's (there MKL draws one number for all): a 53-bit uniform for each.
            var keep = 1 - numbers.Dropout;
            mask = rand(shape, ScalarType.Float64, generator: source).lt(keep).to_type(ScalarType.Float32).div_(keep);
        }
        if (numbers.RankDropout > 0)
        {
            var kept = rand([shape[0], numbers.Rank], ScalarType.Float32, generator: source).gt(numbers.RankDropout).to_type(ScalarType.Float32);
            var ranks = shape.Length switch
            {
                3 => kept.unsqueeze(1),                     // [B, 1, r] over the sequence
                4 => kept.unsqueeze(-1).unsqueeze(-1),      // [B, r, 1, 1] over both spatial axes
                _ => kept,
            };
            mask = mask is null ? ranks.expand(shape) : mask * ranks;
        }
        return new(false, mask?.to_type(x.dtype).MoveToOuterDisposeScope(), 1 / (1 - numbers.RankDropout));
    }
}
