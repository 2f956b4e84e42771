using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>A LoRA whose halves both start at random and are orthogonal to one another, so that their product is zero and yet both have gradients from the first step.</summary>
/// <remarks>PEFT's <c>init_lora_weights="orthogonal"</c>: with Q a random orthogonal r×r matrix, up = N·Q_odd ÷ 10 and down = (N·Q_even)ᵀ ÷ 10, N Gaussian.</remarks>
public sealed class OrthogonalLora : DoubledLora
{
    private const double Size = 0.1;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts; the rank is even.</param>
    public OrthogonalLora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers, startsAtZero: true) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Orthogonal;

    private protected override (Tensor Up, Tensor Down) Start(Tensor weight, Generator generator)
    {
        var rank = Numbers.Rank;
        var pairs = linalg.qr(randn([rank, rank], generator: generator)).Q.view(rank / 2, 2, rank);
        var down = pairs.select(1, 0).t().mm(randn([rank / 2, weight.shape[1]], generator: generator));
        var up = randn([weight.shape[0], rank / 2], generator: generator).mm(pairs.select(1, 1));
        return (up.mul(Size), down.mul(Size));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>A LoRA with an orthogonal start.</summary>
    public static AdapterFamily Orthogonal { get; } = new(
        "orthogonal", "A LoRA whose halves start at random and orthogonal to one another", new("https://github.com/huggingface/peft"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new OrthogonalLora(site, numbers), (site, parts) => DoubledLora.Read(site, parts, 1, (site, numbers) => new OrthogonalLora(site, numbers)))
    {
        Check = (_, numbers) => numbers.Rank % 2 == 0 ? null : new("rank", $"is {numbers.Rank}, and an orthogonal start needs pairs.", "Use an even rank."),
        Advice = "A LoRA's file and cost; both halves learn from the first step. Worth a try at low ranks.",
    };
}
