using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>LoKr: ΔW = s·c·(W₁ ⊗ W₂), a Kronecker product whose factors may themselves be low-rank products.</summary>
/// <remarks>
/// Edalati et al. 2022, https://arxiv.org/abs/2212.10650; shapes, initial values and scalar as LyCORIS 4.1.3 <c>modules/lokr.py</c>. A factor whose
/// rank would be half its side or more is stored whole; with both whole the scale is 1 whatever alpha says.
/// </remarks>
public sealed class LoKr : Adapter
{
    internal const string W1Name = "lokr_w1", W1AName = "lokr_w1_a", W1BName = "lokr_w1_b", W2Name = "lokr_w2", W2AName = "lokr_w2_a", W2BName = "lokr_w2_b", T2Name = "lokr_t2";

    private readonly AdapterParameter? w1, w1a, w1b, w2, w2a, w2b, t2;
    private readonly AdapterParameter scalar;
    private readonly Dora? dora;            // the magnitudes, where they take part
    private readonly Dora? magnitudes;
    private readonly Sides sides;

    // W₁ is [L, M], W₂ is [K, N(, k, k)]; L·K = Out, M·N = In.
    private sealed record Sides(long L, long K, long M, long N, bool FirstWhole, bool SecondWhole, bool Tucker);

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha, form and dropouts.</param>
    public LoKr(AdapterSite site, AdapterNumbers numbers) : this(site, numbers, SidesOf(site.Layer.Shape, numbers), fromFile: false) { }

    private LoKr(AdapterSite site, AdapterNumbers numbers, Sides sides, bool fromFile)
        : base(site, fromFile || !(sides.FirstWhole && sides.SecondWhole) ? numbers : numbers with { Alpha = numbers.Rank * WholeScale(numbers), WholeAlpha = false })
    {
        this.sides = sides;
        var (kernel, rank) = (site.Layer.Shape.Kernel, numbers.Rank);
        var spatial = site.Layer.Shape.Kind == LayerKind.Conv2d;
        if (sides.FirstWhole) w1 = Declare(W1Name, [sides.L, sides.M]);
        else (w1a, w1b) = (Declare(W1AName, [sides.L, rank]), Declare(W1BName, [rank, sides.M]));
        if (sides.SecondWhole) w2 = Declare(W2Name, spatial ? [sides.K, sides.N, kernel.H, kernel.W] : [sides.K, sides.N]);
        else if (sides.Tucker)
            (t2, w2a, w2b) = (Declare(T2Name, [rank, rank, kernel.H, kernel.W]), Declare(W2AName, [rank, sides.K]), Declare(W2BName, [rank, sides.N]));
        else (w2a, w2b) = (Declare(W2AName, [sides.K, rank]), Declare(W2BName, [rank, sides.N * kernel.H * kernel.W]));
        magnitudes = Dora.Of(Form, site.Layer.Weight.shape, (name, shape) => Declare(name, shape, frozen: Dora.IsIdle(Form)));
        dora = magnitudes?.Acting;
        scalar = Declare(LoCon.ScalarName, [], frozen: !Form.Scalar);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.LoKr;

    /// <inheritdoc/>
    public override double Scale => IsWhole ? WholeScale(Numbers) : base.Scale;

    /// <inheritdoc/>
    protected override double SavedAlpha => IsWhole ? Numbers.Alpha : base.SavedAlpha;

    /// <inheritdoc/>
    public override bool PrefersWeight => true;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        void second(AdapterParameter last)
        {
            if (Form.Scalar) Initial.KaimingUniform(last.Value, generator);
            else last.Value.zero_();
        }

        if (w2 is not null) second(w2);
        else
        {
            if (t2 is not null) Initial.KaimingUniform(t2.Value, generator);
            Initial.KaimingUniform(w2a!.Value, generator);
            second(w2b!);
        }
        if (w1 is not null) Initial.KaimingUniform(w1.Value, generator);
        else
        {
            Initial.KaimingUniform(w1a!.Value, generator);
            Initial.KaimingUniform(w1b!.Value, generator);
        }
        scalar.Value.fill_(Form.Scalar ? 0 : 1);
        magnitudes?.Initialize(Site.Layer.Weight);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return Kept(Product().mul(Scale).mul(scalar.Value)).MoveToOuterDisposeScope();
    }

    // (W₁ ⊗ W₂)[a·K + b, e·N + g] = W₁[a, e]·W₂[b, g]
    private Tensor Product() => First().view(sides.L, 1, sides.M, 1, 1).mul(Second().reshape(1, sides.K, 1, sides.N, -1)).reshape(Site.Layer.Weight.shape);

    /// <inheritdoc/>
    public override Tensor Weight(Tensor weight, double strength)
    {
        if (dora is null) return base.Weight(weight, strength);
        using var scope = NewDisposeScope();
        return dora.Weight(weight.add(WeightDelta()), strength).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        if (DropsRows || dora is not null) return base.Product(x, y, strength, drops);
        using var scope = NewDisposeScope();
        var factor = (float)(strength * Scale * (Form.Scalar ? 1 : scalar.Value.item<float>()));
        var first = Form.Scalar ? First().mul(scalar.Value) : First();
        if (y is null && Pass.Suits(Site.Layer) && !(Form.Bypass && Numbers.Dropout > 0))
        {
            var pass = new KroneckerPass(Site.Layer, factor);
            return (w2 is null ? Pass.Run(pass, x, first, w2a!.Value, w2b!.Value) : Pass.Run(pass, x, first, w2.Value.flatten(1))).MoveToOuterDisposeScope();
        }
        return (y ?? Base(x)).add(Dropped(OnActivations(x, first.to_type(x.dtype)).mul(factor))).MoveToOuterDisposeScope();
    }

    internal override void BaseChanged() => dora?.BaseChanged();

    internal override RankDrops RankDrops => Form.Bypass ? RankDrops.Own : RankDrops.Rows;

    /// <inheritdoc/>
    public override double? Norm()
    {
        // ‖W₁ ⊗ W₂‖ = ‖W₁‖·‖W₂‖; LyCORIS leaves the scalar out.
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return Math.Abs(Scale) * (DropsRows ? Kept(Product()).norm().item<float>() : First().norm().item<float>() * Second().norm().item<float>());
    }

    /// <inheritdoc/>
    public override void Shrink(double ratio)
    {
        using var frozen = no_grad();
        AdapterParameter[] factors = [.. new[] { w1, w1a, w1b, w2, w2a, w2b, t2 }.OfType<AdapterParameter>()];
        foreach (var factor in factors) factor.Value.mul_(Math.Pow(ratio, 1.0 / factors.Length));
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        foreach (var (name, value) in InOrder(base.Saved(), "alpha", Networks.Dora.ScaleName, W1Name, W1AName, W1BName, W2Name, W2AName, W2BName, T2Name))
            if (name != LoCon.ScalarName) yield return new(name, name is W1Name or W1AName ? value.mul(scalar.Value) : value);
    }

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        using var frozen = no_grad();
        scalar.Value.fill_(1);
        foreach (var parameter in Parameters) if (parameter != scalar) parts.CopyTo(parameter.Name, parameter.Value);
    }

    /// <summary>LyCORIS' split of a side into a smaller and a larger factor: <paramref name="factor"/> itself where it divides, else its largest divisor below.</summary>
    /// <param name="side">What is split; at least 1.</param>
    /// <param name="factor">Size wanted; −1, or any number below 0, for the most square split, 0 for none.</param>
    public static (long Small, long Large) Factorization(long side, long factor)
    {
        if (factor > 0 && side % factor == 0) return factor < side / factor ? (factor, side / factor) : (side / factor, factor);
        var most = factor < 0 ? side : factor;          // 0 splits nothing off
        var best = 1L;
        for (var divisor = 1L; divisor <= most && divisor * divisor <= side; divisor++) if (side % divisor == 0) best = divisor;
        return (best, side / best);
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        var (firstWhole, secondWhole) = (parts.Has(W1Name), parts.Has(W2Name));
        if (!(firstWhole || parts.Has(W1AName, W1BName)) || !(secondWhole || parts.Has(W2AName, W2BName)) || site.Layer.Shape.IsNorm) return null;
        var (shape, tucker) = (site.Layer.Shape, parts.Has(T2Name));
        var (l, m) = firstWhole ? (parts.ShapeOf(W1Name)[0], parts.ShapeOf(W1Name)[1]) : (parts.ShapeOf(W1AName)[0], parts.ShapeOf(W1BName)[1]);
        if (l == 0 || m == 0 || shape.Out % l != 0 || shape.In % m != 0)
            throw new CheckpointException(parts.Path, $"has a Kronecker factor of [{l}, {m}], which does not divide the layer's [{shape.Out}, {shape.In}]: "
                + "the network was made for another kind of base model.", parts.Module);
        var rank = !secondWhole ? parts.ShapeOf(W2BName)[0] : !firstWhole ? parts.ShapeOf(W1BName)[0] : 1;
        var numbers = parts.Numbers((int)rank) with { Form = parts.Form with { Tucker = tucker, Dora = Dora.AxisOf(parts, site) } };
        return parts.Sized(new LoKr(site, numbers, new(l, shape.Out / l, m, shape.In / m, firstWhole, secondWhole, tucker), fromFile: true));
    }

    private bool IsWhole => sides.FirstWhole && sides.SecondWhole;

    // L-03: LyCORIS divides a whole LoKr's rank by its root where it is rank-stabilised, although no loader knows of it.
    private static double WholeScale(AdapterNumbers numbers) => numbers.Form is { RankStabilized: true, AsLycoris: true } ? Math.Sqrt(numbers.Rank) : 1;

    private static Sides SidesOf(LayerShape shape, AdapterNumbers numbers)
    {
        var (form, rank) = (numbers.Form, numbers.Rank);
        var (m, n) = Factorization(shape.In, form.Factor);
        var (l, k) = Factorization(shape.Out, form.Factor);
        if (form.Unbalanced) (l, k) = (k, l);
        return new(l, k, m, n,
            FirstWhole: form.FullMatrix || !form.DecomposeBoth || rank >= Math.Max(l, m) / 2.0,
            SecondWhole: form.FullMatrix || rank >= Math.Max(k, n) / 2.0,
            Tucker: form.Tucker && shape.IsSpatial);
    }

    private Tensor First() => w1?.Value ?? w1a!.Value.mm(w1b!.Value);

    // [K, N(, k, k)]
    private Tensor Second() => w2 is not null ? w2.Value
        : t2 is not null ? LowRank.Tucker(t2.Value, w2a!.Value.t(), w2b!.Value.t())
        : w2a!.Value.mm(w2b!.Value).view([sides.K, sides.N, .. Site.Layer.Weight.shape[2..]]);

    // Input channels in M groups, each through W₂, then the groups mixed by W₁.
    private Tensor OnActivations(Tensor x, Tensor first)
    {
        var (shape, second) = (Site.Layer.Shape, Second().to_type(x.dtype));
        if (shape.Kind == LayerKind.Linear)
            return first.matmul(nn.functional.linear(x.reshape([.. x.shape[..^1], sides.M, sides.N]), second)).reshape([.. x.shape[..^1], shape.Out]);
        var groups = nn.functional.conv2d(x.reshape(-1, sides.N, x.shape[2], x.shape[3]), second,
            strides: [shape.Stride.H, shape.Stride.W], padding: [shape.Padding.H, shape.Padding.W]);         // [B·M, K, h, w]
        return first.matmul(groups.reshape(x.shape[0], sides.M, -1)).reshape(x.shape[0], shape.Out, groups.shape[2], groups.shape[3]);
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' LoKr.</summary>
    public static AdapterFamily LoKr { get; } = new(
        "lokr", "Kronecker product of two small factors (LyCORIS)", new("https://arxiv.org/abs/2212.10650"),
        [Networks.LoKr.W1Name, Networks.LoKr.W1AName, Networks.LoKr.W1BName, Networks.LoKr.W2Name, Networks.LoKr.W2AName, Networks.LoKr.W2BName, Networks.LoKr.T2Name,
            Networks.Dora.ScaleName],
        (site, numbers) => new LoKr(site, numbers), Networks.LoKr.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "The smallest files, for simple subjects; tied to its base and finicky about the rate. Factor -1 for tiny files, 4 to 8 at full dimension "
            + "for LoRA's capacity; factor 2 makes files larger than a LoRA without gain.",
    };
}
