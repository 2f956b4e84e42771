using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>What the layers with a weight have in common: a place in the model, and a slot for what hangs on them.</summary>
public abstract class AdaptableLayer : Module<Tensor, Tensor>, IAdaptableLayer
{
    private readonly Parameter weight;
    private readonly Parameter? bias;

    /// <summary>Allocates weight and bias without initialising them: the model's file fills them.</summary>
    private protected AdaptableLayer(string name, LayerShape shape, long[] weightShape, bool hasBias, Compute compute) : base(name)
    {
        Shape = shape;
        weight = Frozen.Empty(compute, weightShape);
        bias = hasBias ? Frozen.Empty(compute, shape.Out) : null;
        RegisterComponents();
    }

    /// <inheritdoc/>
    public string Key { get; internal set; } = "";

    /// <inheritdoc/>
    public IReadOnlyList<string> Owners { get; internal set; } = [];

    /// <inheritdoc/>
    public LayerShape Shape { get; }

    /// <inheritdoc/>
    public Tensor Weight => weight;

    /// <inheritdoc/>
    public Tensor? Bias => bias;

    /// <inheritdoc/>
    public ILayerPatch? Patch { get; set; }

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor weight, Tensor? bias)
    {
        if (weight.dtype == x.dtype) return Compute(x, weight, bias);
        using var widened = weight.to_type(x.dtype);
        return Compute(x, widened, bias);
    }

    /// <inheritdoc/>
    public Tensor InputGradient(Tensor gradient)
    {
        if (weight.dtype == gradient.dtype) return Back(gradient, weight);
        using var widened = weight.to_type(gradient.dtype);
        return Back(gradient, widened);
    }

    /// <summary>The operation, all tensors of one type.</summary>
    protected abstract Tensor Compute(Tensor x, Tensor weight, Tensor? bias);

    /// <summary>The way back through the operation, all tensors of one type.</summary>
    protected virtual Tensor Back(Tensor gradient, Tensor weight) => throw new NotSupportedException($"{Key} does not go back by its weight alone.");

    /// <summary>The layer's output, or its patch's while one is attached.</summary>
    public sealed override Tensor forward(Tensor x) => Patch is { } patch ? patch.Forward(this, x) : Apply(x, weight, bias);
}
