using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>OLoRA: starts at W = Q·R: up is the first r columns of Q, down the first r rows of R.</summary>
/// <remarks>Büyükakyüz 2024, https://arxiv.org/abs/2406.01775. Only the first r columns are decomposed: R's rows are Qᵀ·W.</remarks>
public sealed class Olora : DoubledLora
{
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts.</param>
    public Olora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Olora;

    private protected override (Tensor Up, Tensor Down) Start(Tensor weight, Generator generator)
    {
        var q = linalg.qr(weight.narrow(1, 0, Numbers.Rank)).Q;
        return (q, q.t().mm(weight));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>OLoRA.</summary>
    public static AdapterFamily Olora { get; } = new(
        "olora", "A LoRA that starts at orthonormal columns of the weight; its file has twice the rank", new("https://arxiv.org/abs/2406.01775"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new Olora(site, numbers), (site, parts) => DoubledLora.Read(site, parts, 2, (site, numbers) => new Olora(site, numbers)))
    {
        Check = DoubledLora.CheckRank,
        Advice = "An experiment beside pissa, cheaper to start.",
    };
}
