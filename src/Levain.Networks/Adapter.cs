using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What hangs on one layer: the trained tensors and what they do to the layer's weight or output. One subclass for each family.</summary>
/// <remarks>
/// A family overrides <see cref="WeightDelta"/>, or <see cref="Weight"/> where W' is not W plus a multiple of a delta (DoRA, OFT), and
/// <see cref="Product"/> where it knows a cheaper way than a second pass with the delta, or acts on activations.
/// </remarks>
public abstract class Adapter
{
    private readonly List<AdapterParameter> parameters = [];
    private Tensor? rows;       // which output rows of the delta stay in the pass that is being made

    /// <summary>An adapter of the given size at a site.</summary>
    protected Adapter(AdapterSite site, AdapterNumbers numbers) => (Site, Numbers) = (site, numbers);

    /// <summary>Where it hangs.</summary>
    public AdapterSite Site { get; }

    /// <summary>Its name in files: <c>lora_unet_mid_block_attentions_0_proj_in</c>.</summary>
    public virtual string Name => Site.Name;

    /// <summary>Its family.</summary>
    public abstract AdapterFamily Family { get; }

    /// <summary>Rank, alpha, form and dropouts.</summary>
    public AdapterNumbers Numbers { get; private set; }

    /// <summary>What alpha makes of the delta: alpha ÷ rank, or alpha ÷ √rank where the form is rank-stabilised, unless a family says otherwise.</summary>
    public virtual double Scale => Numbers.Alpha / (Form.RankStabilized ? Math.Sqrt(Numbers.Rank) : Numbers.Rank);

    /// <summary>The alpha of the file, from which every loader computes <see cref="Scale"/> as alpha ÷ rank.</summary>
    protected virtual double SavedAlpha => Form.RankStabilized ? Scale * Numbers.Rank : Numbers.Alpha;

    /// <summary>What loaders make of its file: <see cref="Scale"/>, unless another alpha is saved (K-01), by which kohya measures norms too.</summary>
    private protected double SavedScale => Numbers.SavedAlpha is { } alpha ? alpha / Numbers.Rank : Scale;

    /// <summary>How it is built.</summary>
    protected AdapterForm Form => Numbers.Form;

    /// <summary>Its tensors, in the order in which kohya's optimizer sees them.</summary>
    public IReadOnlyList<AdapterParameter> Parameters => parameters;

    /// <summary>Whether a forward pass without gradients is cheaper with the patched weight, made once, than by <see cref="Product"/>.</summary>
    public virtual bool PrefersWeight => true;

    /// <summary>Random numbers for dropouts while training; null: none are drawn and nothing is dropped.</summary>
    internal Generator? DropoutSource { get; set; }

    /// <summary>Python's random numbers, of which DyLoRA draws its ranks while training; null: all ranks take part.</summary>
    internal PythonRandom? RankSource { get; set; }

    /// <summary>Timestep of each picture of the batch while the U-Net is passed; null: none is known.</summary>
    internal IReadOnlyList<int>? Timesteps { get; set; }

    /// <summary>Whether a recorded pass has gone through any of its tensors since the last <see cref="Network.ForgetReached"/>.</summary>
    public bool Reached => parameters.Any(parameter => parameter.Reached);

    /// <summary>Draws the initial values in kohya's order.</summary>
    public abstract void Initialize(Generator generator);

    /// <summary>ΔW at strength 1, in fp32 and the shape of the layer's weight; differentiable. The caller's scope owns it.</summary>
    public abstract Tensor WeightDelta();

    /// <summary>Δb at strength 1, or null.</summary>
    public virtual Tensor? BiasDelta() => null;

    /// <summary>W' for a weight W in fp32: W + strength·ΔW unless the family says otherwise. The caller's scope owns it.</summary>
    public virtual Tensor Weight(Tensor weight, double strength)
    {
        using var scope = NewDisposeScope();
        return weight.add(WeightDelta(), strength).MoveToOuterDisposeScope();
    }

    /// <summary>b' for a bias b (null: none): b + strength·Δb. The caller's scope owns a new tensor; an unchanged bias is handed back.</summary>
    public virtual Tensor? Bias(Tensor? bias, double strength)
    {
        using var scope = NewDisposeScope();
        if (BiasDelta() is not { } delta) return bias;
        return (bias is null ? delta.mul(strength) : bias.add(delta, strength)).MoveToOuterDisposeScope();
    }

    /// <summary>The layer's output with this adapter in it. Draws dropouts while training: module, then neuron, then rank, as kohya.</summary>
    /// <param name="x">What the layer received.</param>
    /// <param name="y">What the layer, with the adapters before this one, made of it; null for the first adapter, which has the layer compute it.</param>
    /// <param name="strength">Multiplier of the delta.</param>
    /// <returns><paramref name="y"/> or a new tensor; the caller's scope owns it.</returns>
    public Tensor Forward(Tensor x, Tensor? y, double strength)
    {
        using var scope = NewDisposeScope();
        var drops = Dropouts.Draw(this, x);
        if (drops is { Skip: true }) return y ?? Base(x).MoveToOuterDisposeScope();
        rows = drops?.Rows;
        try
        {
            var output = Product(x, y, strength, drops);
            if (is_grad_enabled()) Reach();
            return output.MoveToOuterDisposeScope();
        }
        finally
        {
            rows = null;
        }
    }

    /// <summary>Marks the tensors that a recorded pass goes through: all of them, unless the family trains a part.</summary>
    private protected virtual void Reach()
    {
        foreach (var parameter in parameters) parameter.Reached = true;
    }

    /// <summary>As <see cref="Forward"/>, after the module dropout: op(x, W', b'), or y + op(x, W' − W, b' − b) behind another adapter.</summary>
    protected virtual Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var layer = Site.Layer;
        var full = layer.Weight.to_type(ScalarType.Float32);
        var (weight, bias) = (Weight(full, strength), Bias(layer.Bias, strength));
        if (y is null) return layer.Apply(x, weight.to_type(x.dtype), bias?.to_type(x.dtype)).MoveToOuterDisposeScope();
        var shift = ReferenceEquals(bias, layer.Bias) ? null : layer.Bias is null ? bias : bias!.sub(layer.Bias);
        var delta = weight.sub(full).to_type(x.dtype);
        // A normalisation is linear in its weight and bias, but has no pass without them.
        if (layer.Shape.IsNorm) shift ??= zeros_like(delta);
        return y.add(layer.Apply(x, delta, shift?.to_type(x.dtype))).MoveToOuterDisposeScope();
    }

    /// <summary>The layer's own output. The caller's scope owns it.</summary>
    protected Tensor Base(Tensor x) => Site.Layer.Apply(x, Site.Layer.Weight, Site.Layer.Bias);

    /// <summary>The frozen weight as a matrix in fp32, [Out, In·k²]: a view where it is fp32 already. The caller's scope owns it.</summary>
    protected Tensor BaseMatrix() => Site.Layer.Weight.flatten(1).to_type(ScalarType.Float32);

    /// <summary>Length of every row of dimension <paramref name="kept"/>, the other dimensions 1.</summary>
    internal static Tensor NormOver(Tensor weight, int kept) =>
        linalg.vector_norm(weight, 2, [.. Enumerable.Range(0, (int)weight.dim()).Where(axis => axis != kept).Select(axis => (long)axis)], keepdim: true);

    /// <summary>What rank dropout acts on.</summary>
    internal virtual RankDrops RankDrops => Form.Bypass ? RankDrops.Channels : RankDrops.Rows;

    /// <summary>Whether output rows of the delta are dropped in the pass that is being made.</summary>
    private protected bool DropsRows => rows is not null;

    /// <summary>A delta without the output rows that are dropped in the pass that is being made.</summary>
    private protected Tensor Kept(Tensor delta) => rows is null ? delta : delta.mul(rows.view([-1, .. Enumerable.Repeat(1L, (int)delta.dim() - 1)]));

    /// <summary>What bypass mode adds to the output, with LyCORIS' dropout on it.</summary>
    private protected Tensor Dropped(Tensor added) => Form.Bypass && Numbers.Dropout > 0 && DropoutSource is { } source
        ? added.mul(Dropouts.Elements(added.shape, Numbers.Dropout, source).to_type(added.dtype)) : added;

    /// <summary>Says that the layer's own weight has changed, for families that keep numbers of it.</summary>
    internal virtual void BaseChanged() { }

    /// <summary>Shape of the inner activations that kohya's neuron and rank dropout mask; null where the family has none.</summary>
    internal virtual long[]? InnerShape(Tensor x) => null;

    /// <summary>‖ΔW‖ (Frobenius) at strength 1; null where the family has no norm to limit.</summary>
    public virtual double? Norm() => null;

    /// <summary>As <see cref="Norm"/>, of what LyCORIS measures: a delta without the rows that rank dropout draws while training (L-20).</summary>
    internal double? LimitedNorm()
    {
        if (this is not (LoCon or LoHa or LoKr) || !Form.AsLycoris || DropoutSource is not { } source || Numbers.RankDropout is not (> 0 and var share)) return Norm();
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        rows = Dropouts.Kept(this, Site.Layer.Shape.Out, share, source);
        try
        {
            return Norm();
        }
        finally
        {
            rows = null;
        }
    }

    /// <summary>Multiplies ΔW by <paramref name="ratio"/>, sharing it among the factors.</summary>
    public virtual void Shrink(double ratio) { }

    /// <summary>The tensors as a file stores them, named without the adapter's name. The caller's scope owns new ones.</summary>
    public virtual IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        yield return new("alpha", AlphaTensor());
        foreach (var parameter in parameters) yield return new(parameter.Name, parameter.Value);
    }

    /// <summary>Tensors in the order in which LyCORIS' module hands them over, which its hash of the file goes by.</summary>
    private protected static IEnumerable<KeyValuePair<string, Tensor>> InOrder(IEnumerable<KeyValuePair<string, Tensor>> tensors, params string[] names) =>
        tensors.OrderBy(pair => Array.IndexOf(names, pair.Key));

    /// <summary>The alpha as it is saved.</summary>
    protected Tensor AlphaTensor() => Numbers.WholeAlpha ? tensor((long)(Numbers.SavedAlpha ?? SavedAlpha)) : tensor((float)(Numbers.SavedAlpha ?? SavedAlpha));

    /// <summary>Reads the tensors of a file into the parameters; shapes agree already, and those it must have are there.</summary>
    public virtual void Load(AdapterParts parts)
    {
        foreach (var parameter in parameters)
            if (parts.Has(parameter.Name)) parts.CopyTo(parameter.Name, parameter.Value);
    }

    /// <summary>How many times the adapter's rank its product has in files: 2 where the start lies behind what was trained, with its sign turned.</summary>
    internal virtual int FileRanks => 1;

    internal void TakeDropouts(NetworkOptions options) =>
        Numbers = Numbers with { Dropout = options.Dropout, RankDropout = options.RankDropout, ModuleDropout = options.ModuleDropout };

    /// <summary>Takes the alpha of a file; <paramref name="keepScale"/>: only to be saved again (K-01).</summary>
    internal void TakeAlpha(double alpha, bool keepScale) =>
        Numbers = keepScale ? Numbers with { SavedAlpha = alpha } : Numbers with { Alpha = alpha, WholeAlpha = false };

    /// <summary>Declares a trained tensor; the network gives it memory before <see cref="Initialize"/> or <see cref="Load"/> runs.</summary>
    /// <param name="name">Its name in files, without the adapter's.</param>
    /// <param name="plus">Whether LoRA+ gives it the larger learning rate.</param>
    /// <param name="frozen">Whether it is saved but not trained.</param>
    /// <param name="idle">Whether it has gradients, but no optimizer moves it.</param>
    /// <param name="shape">Its shape.</param>
    protected AdapterParameter Declare(string name, long[] shape, bool plus = false, bool frozen = false, bool idle = false)
    {
        var parameter = new AdapterParameter(this, name, shape, plus, frozen) { IsIdle = idle };
        parameters.Add(parameter);
        return parameter;
    }
}

/// <summary>One tensor of an adapter: a view into the network's flat buffer.</summary>
public sealed class AdapterParameter
{
    private Tensor? value, matrix, gradient;

    internal AdapterParameter(Adapter adapter, string name, long[] shape, bool plus, bool frozen) =>
        (Adapter, Name, Shape, IsPlus, IsFrozen) = (adapter, name, shape, plus, frozen);

    /// <summary>Whose tensor it is.</summary>
    public Adapter Adapter { get; }

    /// <summary>Its name in files, without the adapter's: <c>lora_down.weight</c>.</summary>
    public string Name { get; }

    /// <summary>Its shape.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Whether LoRA+ gives it the larger learning rate.</summary>
    public bool IsPlus { get; }

    /// <summary>Whether it is saved but not trained.</summary>
    public bool IsFrozen { get; }

    /// <summary>Whether it has gradients, but belongs to no group: no optimizer moves it.</summary>
    public bool IsIdle { get; internal init; }

    /// <summary>
    /// Whether a recorded pass has gone through it since the last <see cref="Network.ForgetReached"/>. torch gives other tensors no gradient at all, and
    /// its optimizers then leave them alone: no decay, no step counted.
    /// </summary>
    public bool Reached { get; internal set; }

    /// <summary>First element in the network's flat buffer.</summary>
    public long Start { get; private set; }

    /// <summary>Number of elements.</summary>
    public long Length => Shape.Aggregate(1L, (product, side) => product * side);

    /// <summary>The fp32 values; a leaf of autograd that shares the flat buffer's memory. The network disposes it.</summary>
    public Tensor Value => value ?? throw new InvalidOperationException($"{Adapter.Name}.{Name} has no memory yet.");

    /// <summary>The same memory, outside autograd, as a matrix: the first side by all others.</summary>
    internal Tensor Matrix => matrix!;

    /// <summary>The gradient's memory as a matrix; null while nothing is trained.</summary>
    internal Tensor? GradientMatrix => gradient;

    internal void Bind(Tensor flat, long start)
    {
        using var scope = NewDisposeScope();
        Release();
        Start = start;
        value = View(flat).detach().DetachFromDisposeScope();
        matrix = AsMatrix(flat).DetachFromDisposeScope();
    }

    internal void BindGradient(Tensor flat)
    {
        using var scope = NewDisposeScope();
        Value.requires_grad_(true);
        gradient = AsMatrix(flat).DetachFromDisposeScope();
        Value.grad = View(flat);      // autograd adds into a gradient that exists, so all of them stay in one buffer
    }

    internal void Release()
    {
        value?.Dispose();
        matrix?.Dispose();
        gradient?.Dispose();
    }

    private Tensor View(Tensor flat) => flat.narrow(0, Start, Length).view([.. Shape]);

    private Tensor AsMatrix(Tensor flat) => flat.narrow(0, Start, Length).view(Shape.Count == 0 ? 1 : Shape[0], -1);
}
