namespace Levain.Networks;

/// <summary>Which axis of a weight DoRA gives magnitudes of their own (https://arxiv.org/abs/2402.09353).</summary>
public enum DoraAxis
{
    /// <summary>None: no DoRA.</summary>
    None,

    /// <summary>One magnitude for each output row, the paper's columns; LyCORIS' default since 3.2.0. The webui misreads such files.</summary>
    Output,

    /// <summary>One magnitude for each input channel; LyCORIS' default before 3.2.0, and what the webui reads.</summary>
    Input,
}

/// <summary>How an adapter is built beside its size. Each family looks at what it knows and leaves the rest alone.</summary>
public sealed record AdapterForm
{
    /// <summary>Tucker (CP) decomposition of kernels larger than 1×1: LoCon, LoHa, LoKr.</summary>
    public bool Tucker { get; init; }

    /// <summary>A trained factor on the whole delta, started at 0: LoCon, LoHa, LoKr, GLoRA. It is folded into a factor when saved.</summary>
    public bool Scalar { get; init; }

    /// <summary>Scale alpha ÷ √rank instead of alpha ÷ rank (https://arxiv.org/abs/2312.03732); the file's alpha is multiplied by √rank.</summary>
    public bool RankStabilized { get; init; }

    /// <summary>The delta is applied to activations, with dropouts on them: LyCORIS' bypass mode. OFT, BOFT and IA3 then change the bias too.</summary>
    public bool Bypass { get; init; }

    /// <summary>LoCon, LoHa, LoKr, GLoRA's bypass: what rank dropout leaves is scaled up by the share that is left.</summary>
    public bool ScaledRankDropout { get; init; }

    /// <summary>DoRA: LoCon, LoHa, LoKr.</summary>
    public DoraAxis Dora { get; init; }

    /// <summary>LoKr: size of the smaller Kronecker factor; −1 is the most square split.</summary>
    public int Factor { get; init; } = -1;

    /// <summary>LoKr: both Kronecker factors are low-rank products.</summary>
    public bool DecomposeBoth { get; init; }

    /// <summary>LoKr: no factor is a low-rank product, whatever the rank.</summary>
    public bool FullMatrix { get; init; }

    /// <summary>LoKr: the output's two sides are swapped.</summary>
    public bool Unbalanced { get; init; }

    /// <summary>DyLoRA: ranks that are trained together; divides the rank.</summary>
    public int Block { get; init; } = 1;

    /// <summary>Diag-OFT, BOFT, kohya's OFT: limit of the rotation's size as a share of the layer's outputs; 0: none (kohya: nothing moves).</summary>
    public double Constraint { get; init; }

    /// <summary>Diag-OFT, BOFT: a trained factor on every output row.</summary>
    public bool Rescaled { get; init; }

    /// <summary>IA3: input channels are scaled instead of output rows.</summary>
    public bool OnInput { get; init; }

    /// <summary>T-LoRA: ranks that stay at the noisiest timestep.</summary>
    public int MinRank { get; init; } = 1;

    /// <summary>T-LoRA: power of the share of the schedule that is left; above 1 cuts harder at high noise.</summary>
    public double RankPower { get; init; } = 1;

    /// <summary>LyCORIS' numbers, its mistakes included; see the rows L-02 to L-05 of docs/compat.md.</summary>
    public bool AsLycoris { get; init; }

    /// <summary>K-38b: LoRA-FA's frozen half gets gradients that nobody uses or clears, and that count in the norm that is clipped.</summary>
    public bool FrozenGradients { get; init; }

    /// <summary>What of it is neither asked for nor in any file: which mistakes are repeated.</summary>
    internal AdapterForm Repeated => new() { AsLycoris = AsLycoris, FrozenGradients = FrozenGradients };
}
