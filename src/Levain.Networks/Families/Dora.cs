using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>DoRA's magnitudes: W' = V·(1 + m·(d/‖V‖ − 1)) for V = W + ΔW, one trained d for each output row or input channel.</summary>
/// <remarks>
/// Liu et al. 2024, https://arxiv.org/abs/2402.09353, as LyCORIS has it: the strength m does not reach ΔW, and the gradient flows through the norm,
/// which the paper holds fixed.
/// </remarks>
internal sealed class Dora
{
    public const string ScaleName = "dora_scale";

    // LyCORIS adds the machine epsilon of fp32 to the norm; nothing shorter than the smallest normal number has a direction.
    private const double Epsilon = 1.1920928955078125e-7, Smallest = 1.17549435e-38;

    private readonly AdapterParameter scale;
    private readonly int axis;              // the axis that has magnitudes of its own
    private readonly bool idle;
    private Tensor? squared;                // ‖W‖² along it; the base's, kept until it changes

    private Dora(AdapterParameter scale, int axis, bool idle) => (this.scale, this.axis, this.idle) = (scale, axis, idle);

    /// <summary>The magnitudes of an adapter whose form asks for them; null where it does not.</summary>
    /// <param name="form">The adapter's form.</param>
    /// <param name="weight">Shape of the layer's weight.</param>
    /// <param name="declare">Declares a trained tensor.</param>
    public static Dora? Of(AdapterForm form, long[] weight, Func<string, long[], AdapterParameter> declare)
    {
        if (form.Dora == DoraAxis.None || form is { Bypass: true, AsLycoris: false }) return null;
        var axis = form.Dora == DoraAxis.Output ? 0 : 1;
        return new(declare(ScaleName, [.. weight.Select((side, i) => i == axis ? side : 1)]), axis, form.Bypass);
    }

    /// <summary>The magnitudes where they take part in passes: LyCORIS' bypass mode passes them by, and saves them as they began (L-22).</summary>
    public Dora? Acting => idle ? null : this;

    /// <summary>Whether they are saved and nothing more.</summary>
    /// <param name="form">The adapter's form.</param>
    public static bool IsIdle(AdapterForm form) => form is { Bypass: true, AsLycoris: true } && form.Dora != DoraAxis.None;

    /// <summary>Which axis a file's magnitudes belong to.</summary>
    public static DoraAxis AxisOf(AdapterParts parts, AdapterSite site) => !parts.Has(ScaleName) ? DoraAxis.None
        : parts.ShapeOf(ScaleName) is [var rows, ..] && rows == site.Layer.Shape.Out && (rows != 1 || site.Layer.Shape.In != 1) ? DoraAxis.Output : DoraAxis.Input;

    /// <summary>Whether magnitudes are the output rows'.</summary>
    public bool OnOutput => axis == 0;

    /// <summary>Starts at the base's own lengths, so that nothing changes.</summary>
    public void Initialize(Tensor weight)
    {
        using var scope = NewDisposeScope();
        scale.Value.copy_(Adapter.NormOver(weight.to_type(ScalarType.Float32), axis));
    }

    /// <summary>W' of V. The caller's scope owns it.</summary>
    public Tensor Weight(Tensor patched, double strength) => patched.mul(Factor(Adapter.NormOver(patched, axis), strength));

    /// <summary>1 + m·(d/‖V‖ − 1), a vector over the axis, for V = W + up·down without making V.</summary>
    /// <param name="weight">W as a matrix, [Out, In].</param>
    /// <param name="down">[r, In].</param>
    /// <param name="up">[Out, r], the scale in it.</param>
    /// <param name="strength">m.</param>
    public Tensor Factor(Tensor weight, Tensor down, Tensor up, double strength)
    {
        using var scope = NewDisposeScope();
        if (squared is null)
            using (no_grad()) squared = linalg.vector_norm(weight, 2, [1 - axis]).square().DetachFromDisposeScope();
        var lengths = OnOutput ? Pass.Run(new RowLengths(weight, squared), up, down) : Pass.Run(new RowLengths(weight.t(), squared), down.t(), up.t());
        var length = lengths.clamp_min(Smallest).sqrt();
        return Factor(length, strength).MoveToOuterDisposeScope();
    }

    /// <summary>Forgets what it kept of the base's weight.</summary>
    public void BaseChanged()
    {
        squared?.Dispose();
        squared = null;
    }

    private Tensor Factor(Tensor length, double strength)
    {
        var share = scale.Value.reshape(length.shape).div(length.add(Epsilon));
        return strength == 1 ? share : share.sub(1).mul(strength).add(1);
    }
}
