using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>What the layers with a weight have in common: a place in the model, and a slot for what hangs on them.</summary>
public abstract class AdaptableLayer : Module<Tensor, Tensor>, IAdaptableLayer, IStoredWeight
{
    private Parameter weight;
    private readonly Parameter? bias;

    /// <summary>Allocates weight and bias without initialising them: the model's file fills them.</summary>
    private protected AdaptableLayer(string name, LayerShape shape, long[] weightShape, bool hasBias, Compute compute) : base(name)
    {
        Shape = shape;
        Dtype = compute.Dtype;
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
    public ScalarType Dtype { get; }

    /// <inheritdoc/>
    public Tensor? Bias => bias;

    /// <inheritdoc/>
    public ILayerPatch? Patch { get; set; }

    /// <inheritdoc/>
    public void Widen()
    {
        if (Frozen.Widen(ref weight, Dtype)) ConditionallyRegisterParameter(nameof(weight), weight);
    }

    /// <inheritdoc/>
    public Tensor Apply(Tensor x, Tensor weight, Tensor? bias)
    {
        if (FrozenPass.Suits(this, x, weight, bias)) return FrozenPass.Run(this, x, bias is not null);
        if (weight.dtype == x.dtype) return Compute(x, weight, bias, IsOwn(weight, bias, x, Shape.In));
        using var widened = weight.to_type(x.dtype);
        return Compute(x, widened, bias, IsOwn(weight, bias, x, Shape.In));
    }

    /// <inheritdoc/>
    public Tensor InputGradient(Tensor gradient)
    {
        if (weight.dtype == gradient.dtype) return Back(gradient, weight, IsOwn(weight, bias, gradient, Shape.Out));
        using var widened = weight.to_type(gradient.dtype);
        return Back(gradient, widened, IsOwn(weight, bias, gradient, Shape.Out));
    }

    /// <summary>Whether <see cref="InputGradient"/> can be asked for.</summary>
    internal virtual bool GoesBack => false;

    /// <summary>The operation, all tensors of one type.</summary>
    /// <param name="own">Whether this program's own kernels should compute it: nothing is recorded, and never will be.</param>
    protected abstract Tensor Compute(Tensor x, Tensor weight, Tensor? bias, bool own);

    /// <summary>The way back through the operation, all tensors of one type.</summary>
    /// <param name="own">As for <see cref="Compute"/>.</param>
    protected virtual Tensor Back(Tensor gradient, Tensor weight, bool own) => throw new NotSupportedException($"{Key} does not go back by its weight alone.");

    /// <summary>The layer's output, or its patch's while one is attached.</summary>
    public sealed override Tensor forward(Tensor x) => Patch is { } patch ? patch.Forward(this, x) : Apply(x, weight, bias);

    // Own kernels record nothing. What is their own weight's work has the same bits whether a pass is recorded (FrozenPass) or not: recomputed passes rely on it.
    private bool IsOwn(Tensor weight, Tensor? bias, Tensor x, long channels)
    {
        if (!OwnProducts.SuitsLayer(x, Shape, weight.numel() / channels) || (is_grad_enabled() && (x.requires_grad || weight.requires_grad || bias?.requires_grad == true))) return false;
        var whole = ReferenceEquals(weight, this.weight) && (bias is null || ReferenceEquals(bias, this.bias));
        return whole ? !weight.requires_grad && bias?.requires_grad != true : !is_grad_enabled() && !Recomputed.RunsAgain;
    }
}
