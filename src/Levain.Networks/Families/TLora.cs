using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// T-LoRA: a low-rank product of which fewer ranks take part the noisier the picture is, so that the little a few pictures can teach about
/// composition is not learnt by heart. ΔW(t) = s·(P·diag(λ∘m)·Q − P₀·diag(λ₀∘m)·Q₀), m masking all but the first r(t) ranks.
/// </summary>
/// <remarks>
/// Soboleva et al. 2025, https://arxiv.org/abs/2507.05964: r(t) = ⌊((T − t)/T)^α·(R − r_min)⌋ + r_min with T = 1000. P and Q start orthonormal (QR of a
/// Gaussian), λ at the smallest singular values of a Gaussian matrix of the layer's size. Masks are per picture. Drawn and exported it acts with all
/// ranks: a plain LoRA of rank 2R.
/// </remarks>
public sealed class TLora : Adapter
{
    private const double Steps = 1000;

    private readonly AdapterParameter p, lambda, q, p0, lambda0, q0;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and form.</param>
    public TLora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var shape = site.Layer.Shape;
        long[] left = [shape.Out, numbers.Rank], right = [numbers.Rank, shape.In * shape.Kernel.H * shape.Kernel.W];
        (p, lambda, q) = (Declare("p_layer.weight", left), Declare("lambda_layer", [numbers.Rank]), Declare("q_layer.weight", right));
        (p0, lambda0, q0) = (Declare("start_p", left, frozen: true), Declare("start_lambda", [numbers.Rank], frozen: true), Declare("start_q", right, frozen: true));
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.TLora;

    /// <inheritdoc/>
    public override bool PrefersWeight => LierLa.IsLarge(Site.Layer, 2 * (p.Length + q.Length));

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        p.Value.copy_(Orthonormal(p.Shape[0], generator));
        q.Value.copy_(Orthonormal(q.Shape[1], generator).t());
        // Smallest singular values of a Gaussian matrix of deviation 1/R: its edge, then steps of π/2√n (Marchenko and Pastur 1967; Edelman 1988).
        double small = Math.Min(p.Shape[0], q.Shape[1]), large = Math.Max(p.Shape[0], q.Shape[1]), deviation = 1.0 / Numbers.Rank;
        lambda.Value.copy_(arange(Numbers.Rank, dtype: ScalarType.Float32).add(0.5).mul(deviation * Math.PI / 2 / Math.Sqrt(small)).add(deviation * (Math.Sqrt(large) - Math.Sqrt(small))));
        foreach (var (start, trained) in new[] { (p0, p), (lambda0, lambda), (q0, q) }) start.Value.copy_(trained.Value);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return Up().mm(Down()).mul(Scale).view(Site.Layer.Weight.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Ranks that take part at a timestep.</summary>
    /// <param name="timestep">0..999.</param>
    /// <param name="rank">R.</param>
    /// <param name="form">Least rank and power.</param>
    public static long RankAt(int timestep, long rank, AdapterForm form)
    {
        var least = Math.Min(form.MinRank, rank);
        return Math.Min(rank, (int)Math.Floor(Math.Pow((Steps - timestep) / Steps, form.RankPower) * (rank - least)) + least);
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var (layer, factor, mask) = (Site.Layer, (float)(strength * Scale), Mask(x));
        if (y is null && Pass.Suits(layer))
        {
            long[]? inner = mask is null ? null : layer.Shape.Kind == LayerKind.Linear ? [.. x.shape[..^1], 2 * Numbers.Rank] : [x.shape[0], 2 * Numbers.Rank, x.shape[2], x.shape[3]];
            return LowRankPass.Run(layer, x, Down(), Up(), factor, inner is null ? null : mask!.expand(inner).contiguous(), trained: (0, Numbers.Rank)).MoveToOuterDisposeScope();
        }
        return (y ?? Base(x)).add(LowRank.OnActivations(layer, x, Shaped(Down()), null, Up(), inner => mask is null ? inner : inner.mul(mask)), factor).MoveToOuterDisposeScope();
    }

    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        yield return new("alpha", tensor((float)(2 * Numbers.Alpha)));
        yield return new(LierLa.DownName, Shaped(Down()));
        yield return new(LierLa.UpName, Site.Layer.Shape.Kind == LayerKind.Linear ? Up() : Up().unsqueeze(-1).unsqueeze(-1));
    }

    internal override int FileRanks => 2;

    /// <inheritdoc/>
    /// <remarks>A file holds P·diag(λ): P gets columns of length 1 again, and λ their lengths.</remarks>
    public override void Load(AdapterParts parts)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (left, right) = DoubledLora.Halves(parts, Site);
        take(p, lambda, q, 0, 1);
        take(p0, lambda0, q0, Numbers.Rank, -1);

        void take(AdapterParameter columns, AdapterParameter lengths, AdapterParameter rows, long from, int sign)
        {
            var scaled = left.narrow(1, from, Numbers.Rank) * sign;
            var norms = linalg.vector_norm(scaled, 2, [0L]);
            lengths.Value.copy_(norms);
            columns.Value.copy_(scaled / norms.clamp_min(1e-30f));
            rows.Value.copy_(right.narrow(0, from, Numbers.Rank));
        }
    }

    // Columns of unit length, orthogonal to one another.
    private Tensor Orthonormal(long side, Generator generator) => linalg.qr(randn([side, Numbers.Rank], generator: generator)).Q;

    private Tensor Up() => cat([p.Value.mul(lambda.Value), p0.Value.mul(lambda0.Value).neg()], 1);

    private Tensor Down() => cat([q.Value, q0.Value], 0);

    private Tensor Shaped(Tensor matrix)
    {
        var shape = Site.Layer.Shape;
        return shape.Kind == LayerKind.Linear ? matrix : matrix.view(-1, shape.In, shape.Kernel.H, shape.Kernel.W);
    }

    // [B, 1, 2R] over tokens or [B, 2R, 1, 1] over pixels; null while no timesteps are known.
    private Tensor? Mask(Tensor x)
    {
        if (Timesteps is not { } times || times.Count != x.shape[0]) return null;
        var rank = Numbers.Rank;
        var mask = zeros([times.Count, 2, rank], x.dtype, x.device);
        for (var i = 0; i < times.Count; i++) mask[i].narrow(1, 0, RankAt(times[i], rank, Form)).fill_(1);
        var flat = mask.view(times.Count, 2 * rank);
        return Site.Layer.Shape.Kind == LayerKind.Conv2d ? flat.unsqueeze(-1).unsqueeze(-1) : x.dim() == 3 ? flat.unsqueeze(1) : flat;
    }
}

public static partial class AdapterFamilies
{
    /// <summary>T-LoRA.</summary>
    public static AdapterFamily TLora { get; } = new(
        "tlora", "A LoRA with fewer ranks at noisier timesteps, for very few pictures; its file has twice the rank", new("https://arxiv.org/abs/2507.05964"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new TLora(site, numbers), (site, parts) => DoubledLora.Read(site, parts, 2, (site, numbers) => new TLora(site, numbers)))
    {
        Check = DoubledLora.CheckRank,
        Advice = "For one to five pictures, where a LoRA learns the composition by heart: that sits at timesteps 800 to 1000. Other programs use its file with all ranks at every step.",
    };
}
