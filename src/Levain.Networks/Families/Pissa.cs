using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>PiSSA: starts at the weight's own strongest directions, B·A = U·Σ·Vᵀ of its r largest singular values, shared evenly between the halves.</summary>
/// <remarks>Meng et al. 2024, https://arxiv.org/abs/2404.02948, eq. 2–4. The singular values are those of a random sketch (Halko et al. 2011, https://arxiv.org/abs/0909.4061).</remarks>
public sealed class Pissa : DoubledLora
{
    private const int Spare = 8, Powers = 2;        // further columns of the sketch, and rounds that sharpen it

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts.</param>
    public Pissa(AdapterSite site, AdapterNumbers numbers) : base(site, numbers) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Pissa;

    private protected override (Tensor Up, Tensor Down) Start(Tensor weight, Generator generator)
    {
        var (rank, width) = (Numbers.Rank, Math.Min(Numbers.Rank + Spare, Math.Min(weight.shape[0], weight.shape[1])));
        var q = Orthonormal(weight.mm(randn([weight.shape[1], width], generator: generator)));
        for (var i = 0; i < Powers; i++) q = Orthonormal(weight.mm(Orthonormal(weight.t().mm(q))));
        var (u, s, v) = linalg.svd(q.t().mm(weight), fullMatrices: false);
        var root = s.narrow(0, 0, rank).div(Scale).sqrt();
        return (q.mm(u.narrow(1, 0, rank)).mul(root), v.narrow(0, 0, rank).mul(root.unsqueeze(1)));
    }

    private static Tensor Orthonormal(Tensor columns) => linalg.qr(columns).Q;
}

public static partial class AdapterFamilies
{
    /// <summary>PiSSA.</summary>
    public static AdapterFamily Pissa { get; } = new(
        "pissa", "A LoRA that starts at the weight's strongest directions; its file has twice the rank", new("https://arxiv.org/abs/2404.02948"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new Pissa(site, numbers), (site, parts) => DoubledLora.Read(site, parts, 2, (site, numbers) => new Pissa(site, numbers)))
    {
        Check = DoubledLora.CheckRank,
        Advice = "Learns faster at first; tuned well, a plain LoRA ends up as good. Half the usual rate.",
    };
}
