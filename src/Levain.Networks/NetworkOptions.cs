using Levain.Core;

namespace Levain.Networks;

/// <summary>The <c>[network]</c> table of a run: what hangs on which layers, and how large it is.</summary>
/// <remarks>Names and rules follow kohya's <c>network_dim</c>, <c>network_alpha</c> and <c>network_args</c>.</remarks>
public sealed record NetworkOptions
{
    /// <summary>Name in <see cref="AdapterFamilies"/>; <c>lora</c> is kohya's LoRA.</summary>
    public string Family { get; init; } = AdapterFamilies.Lora.Name;

    /// <summary>Inner dimension r of linear layers and 1×1 convolutions; 1 to 1024, default 16.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>Scale numerator: the delta is multiplied by alpha ÷ rank. 0 means the rank itself; default 16.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Inner dimension of convolutions larger than 1×1; set, it adapts resnets and samplers too. Null or 0: attention only.</summary>
    public int? ConvRank { get; init; }

    /// <summary>Scale numerator of convolutions larger than 1×1; default 1.</summary>
    public double ConvAlpha { get; init; } = 1;

    /// <summary>Share of the inner activations that is zeroed in a training step; 0 to below 1.</summary>
    public double Dropout { get; init; }

    /// <summary>Share of ranks that is zeroed for a sample in a training step; 0 to below 1.</summary>
    public double RankDropout { get; init; }

    /// <summary>Probability that an adapter is left out of a training step; 0 to below 1.</summary>
    public double ModuleDropout { get; init; }

    /// <summary>Whether the U-Net gets adapters.</summary>
    public bool TrainUNet { get; init; } = true;

    /// <summary>Whether the text encoder gets adapters.</summary>
    public bool TrainTextEncoder { get; init; } = true;

    /// <summary>Ranks and alphas by U-Net block; null: the same everywhere.</summary>
    public BlockRanks? BlockRanks { get; init; }

    /// <summary>Weights of the U-Net's learning rate by block; null: 1 everywhere. A block of weight 0 gets no adapters.</summary>
    public BlockRates? BlockRates { get; init; }

    /// <summary>LoRA+ (https://arxiv.org/abs/2402.12354): factor on the learning rate of <c>lora_up</c>; null: none.</summary>
    public double? LoraPlusRatio { get; init; }

    /// <summary>As <see cref="LoraPlusRatio"/>, for the U-Net only; wins over it.</summary>
    public double? LoraPlusUNetRatio { get; init; }

    /// <summary>As <see cref="LoraPlusRatio"/>, for the text encoder only; wins over it.</summary>
    public double? LoraPlusTextEncoderRatio { get; init; }

    /// <summary>K-30: the alpha was never given to kohya, so its integer 1 is saved as int64. Only kohya's file bytes need it.</summary>
    public bool WholeAlpha { get; init; }

    /// <summary>K-02: a network was made from a file before this one in kohya's process, and so resnets' linear layers and 1×1 convolutions are adapted without a convolution rank.</summary>
    public bool GrownTargets { get; init; }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        const int MostRank = 1024;
        problems.Require(AdapterFamilies.All.Any(family => family.Name == Family), "family", $"is '{Family}'.",
            Nearest.Advice(Family, [.. AdapterFamilies.All.Select(family => family.Name)]));
        problems.Require(Rank is >= 1 and <= MostRank, "rank", $"is {Rank}.", $"Use 1 to {MostRank}; 16 suits most subjects.");
        problems.Require(Alpha >= 0 && double.IsFinite(Alpha), "alpha", $"is {Alpha}.", "Use a positive number; the rank itself gives scale 1.");
        problems.Require(ConvRank is null or (>= 0 and <= MostRank), "conv_rank", $"is {ConvRank}.", $"Use 1 to {MostRank}, or leave it out to adapt no 3x3 convolutions.");
        problems.Require(ConvAlpha >= 0 && double.IsFinite(ConvAlpha), "conv_alpha", $"is {ConvAlpha}.", "Use a positive number; the default is 1.");
        foreach (var (name, share) in new[] { ("dropout", Dropout), ("rank_dropout", RankDropout), ("module_dropout", ModuleDropout) })
            problems.Require(share is >= 0 and < 1, name, $"is {share}.", "Use a share from 0 to below 1; 0.1 is usual.");
        foreach (var (name, ratio) in new[]
            { ("loraplus_ratio", LoraPlusRatio), ("loraplus_unet_ratio", LoraPlusUNetRatio), ("loraplus_text_encoder_ratio", LoraPlusTextEncoderRatio) })
            problems.Require(ratio is null or >= 0, name, $"is {ratio}.", "Use a positive factor; 16 is the paper's.");
        problems.Require(TrainUNet || TrainTextEncoder, "train_unet", "and train_text_encoder are both false: nothing would be trained.", "Leave one of them on.");
        BlockRanks?.Check(problems.In("blocks"));
        BlockRates?.Check(problems.In("blocks"));
    }

    /// <summary>Rank, alpha and dropouts at a site; null where the site gets no adapter.</summary>
    public AdapterNumbers? NumbersAt(AdapterSite site)
    {
        var spatial = site.Layer.Shape.IsSpatial;
        var (rank, alpha) = spatial ? (ConvRank ?? 0, ConvAlpha) : (Rank, Alpha);
        var whole = WholeAlpha && !spatial;
        if (site.Block >= 0)
        {
            if (BlockRates is { } rates && rates.Weights[site.Block] == 0) return null;
            if (BlockRanks is { } blocks)
            {
                whole &= blocks.Alphas is null;
                (rank, alpha) = spatial
                    ? (blocks.ConvRanks?[site.Block] ?? rank, blocks.ConvAlphas?[site.Block] ?? alpha)
                    : (blocks.Ranks[site.Block], blocks.Alphas?[site.Block] ?? alpha);
            }
        }
        if (rank == 0) return null;
        return new(rank, alpha == 0 ? rank : alpha)
        {
            WholeAlpha = whole || (WholeAlpha && alpha == 0),
            Dropout = Dropout,
            RankDropout = RankDropout,
            ModuleDropout = ModuleDropout,
        };
    }

    /// <summary>Whether resnets and samplers are adapted too.</summary>
    public bool AdaptsConvolutions => ConvRank > 0 || BlockRanks?.ConvRanks is not null || GrownTargets;

    internal double? PlusRatio(NetworkPart part)
    {
        var own = part == NetworkPart.UNet ? LoraPlusUNetRatio : LoraPlusTextEncoderRatio;
        return own is null or 0 ? LoraPlusRatio is 0 ? null : LoraPlusRatio : own;
    }
}

/// <summary>Size and dropouts of one adapter.</summary>
/// <param name="Rank">Inner dimension r.</param>
/// <param name="Alpha">Scale numerator; never 0.</param>
public sealed record AdapterNumbers(int Rank, double Alpha)
{
    /// <summary>K-30: alpha is written as int64.</summary>
    public bool WholeAlpha { get; init; }

    /// <summary>K-01: the alpha of the file it began with, saved in place of the one it was trained with; null: that one.</summary>
    public double? SavedAlpha { get; init; }

    /// <summary>Share of inner activations zeroed.</summary>
    public double Dropout { get; init; }

    /// <summary>Share of ranks zeroed.</summary>
    public double RankDropout { get; init; }

    /// <summary>Probability of being left out.</summary>
    public double ModuleDropout { get; init; }
}

/// <summary>kohya's <c>block_dims</c>, <c>block_alphas</c>, <c>conv_block_dims</c> and <c>conv_block_alphas</c>: one entry for each of the 25 blocks.</summary>
public sealed record BlockRanks
{
    /// <summary>Ranks of linear layers and 1×1 convolutions; 0 leaves the block out.</summary>
    public required IReadOnlyList<int> Ranks { get; init; }

    /// <summary>Alphas to <see cref="Ranks"/>; null: the network's.</summary>
    public IReadOnlyList<double>? Alphas { get; init; }

    /// <summary>Ranks of larger convolutions; null: the network's convolution rank.</summary>
    public IReadOnlyList<int>? ConvRanks { get; init; }

    /// <summary>Alphas to <see cref="ConvRanks"/>; null: the network's.</summary>
    public IReadOnlyList<double>? ConvAlphas { get; init; }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        foreach (var (name, list) in new (string, IEnumerable<double>?)[]
            { ("ranks", Ranks.Select(rank => (double)rank)), ("alphas", Alphas), ("conv_ranks", ConvRanks?.Select(rank => (double)rank)), ("conv_alphas", ConvAlphas) })
        {
            if (list is null) continue;
            problems.Require(list.Count() == Blocks.Count, name, $"has {list.Count()} entries.", $"Write {Blocks.Count}: IN00 to IN11, MID, OUT00 to OUT11.");
            problems.Require(list.All(entry => entry >= 0), name, "has a negative entry.", "Use 0 to leave a block out.");
        }
    }
}
