using System.Text.RegularExpressions;
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

    /// <summary>Inner dimension of convolutions larger than 1×1. kohya's families: set, it adapts resnets and samplers too. LyCORIS' families: null is the rank, 0 leaves these convolutions out.</summary>
    public int? ConvRank { get; init; }

    /// <summary>Scale numerator of convolutions larger than 1×1. Null: 1 as kohya's, or the alpha for LyCORIS' families.</summary>
    public double? ConvAlpha { get; init; }

    /// <summary>How adapters are built beside their size.</summary>
    public AdapterForm Form { get; init; } = new();

    /// <summary>Which layers LyCORIS' families adapt; null: the preset <c>full</c>.</summary>
    public LayerTargets? Targets { get; init; }

    /// <summary>kohya's OFT: all linear layers of the transformer, not only attention.</summary>
    public bool AllLinear { get; init; }

    /// <summary>Whether LyCORIS' families train weight and bias of normalisations beside their own layers.</summary>
    public bool TrainNorm { get; init; }

    /// <summary>Patterns of layer names, as regular expressions that may match anywhere: only these are adapted. Empty: all that the family adapts.</summary>
    public IReadOnlyList<string> Include { get; init; } = [];

    /// <summary>Patterns of layer names that get no adapter; wins over <see cref="Include"/>.</summary>
    public IReadOnlyList<string> Exclude { get; init; } = [];

    /// <summary>Ranks by pattern of layer names; the first that matches counts. 0 leaves a layer out.</summary>
    public IReadOnlyList<KeyValuePair<string, int>> RanksByName { get; init; } = [];

    /// <summary>Share of the inner activations that is zeroed in a training step; 0 to below 1.</summary>
    public double Dropout { get; init; }

    /// <summary>Share of ranks that is zeroed for a sample in a training step; 0 to below 1. Null: none, and no number is drawn for it, as kohya's families do for a 0.</summary>
    public double? RankDropout { get; init; }

    /// <summary>Probability that an adapter is left out of a training step; 0 to below 1. Null: none, and no number is drawn for it, as kohya's families do for a 0.</summary>
    public double? ModuleDropout { get; init; }

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

    /// <summary>K-30: the alpha was never given to kohya or is a whole number in its config file, and so is saved as int64. Only kohya's file bytes need it.</summary>
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
        problems.Require(ConvAlpha is null or >= 0 and < double.PositiveInfinity, "conv_alpha", $"is {ConvAlpha}.", "Use a positive number; the default is 1.");
        foreach (var (name, share) in new (string, double?)[] { ("dropout", Dropout), ("rank_dropout", RankDropout), ("module_dropout", ModuleDropout) })
            problems.Require(share is null or (>= 0 and < 1), name, $"is {share}.", "Use a share from 0 to below 1; 0.1 is usual.");
        foreach (var (name, ratio) in new[]
            { ("loraplus_ratio", LoraPlusRatio), ("loraplus_unet_ratio", LoraPlusUNetRatio), ("loraplus_text_encoder_ratio", LoraPlusTextEncoderRatio) })
            problems.Require(ratio is null or >= 0, name, $"is {ratio}.", "Use a positive factor; 16 is the paper's.");
        problems.Require(TrainUNet || TrainTextEncoder, "train_unet", "and train_text_encoder are both false: nothing would be trained.", "Leave one of them on.");
        foreach (var (name, patterns) in new (string, IEnumerable<string>)[] { ("include", Include), ("exclude", Exclude), ("ranks_by_name", RanksByName.Select(pair => pair.Key)) })
            foreach (var pattern in patterns)
                if (FlawOf(pattern) is { } flaw) problems.Add(name, $"holds \"{pattern}\", which is no pattern: {flaw}", "Write a regular expression, such as attn2 or down_blocks\\.1.");
        problems.Require(RanksByName.All(pair => pair.Value is >= 0 and <= MostRank), "ranks_by_name", "holds a rank out of range.", $"Use 0 to {MostRank}.");
        Targets?.Check(problems.In("preset"));
        BlockRanks?.Check(problems.In("blocks"));
        BlockRates?.Check(problems.In("blocks"));
    }

    /// <summary>Family, rank, alpha, form and dropouts at a site; null where the site gets no adapter.</summary>
    public (AdapterFamily Family, AdapterNumbers Numbers)? AdapterAt(AdapterSite site, LayerTargets targets)
    {
        var key = site.Layer.Key;
        if (targets.Choose(site) is not { } change || !Takes(key)) return null;
        var family = AdapterFamilies.Named(change.Family ?? Family);
        if (site.Layer.Shape.IsNorm)
        {
            if (TrainNorm) family = AdapterFamilies.Norm;
            if (family != AdapterFamilies.Norm) return null;
        }
        else if (!family.Adapts(site.Layer.Shape)) return null;
        return NumbersAt(site, family, targets.Convolutions, change) is { } numbers ? (family, numbers) : null;
    }

    private AdapterNumbers? NumbersAt(AdapterSite site, AdapterFamily family, bool convolutions, AdapterChange change)
    {
        var (spatial, lycoris) = (site.Layer.Shape.IsSpatial, family.Origin == AdapterOrigin.Lycoris);
        var (rank, alpha) = !spatial ? ((long)Rank, Alpha)
            : family.OneSize ? (ConvRank > 0 ? Rank : 0, Alpha)
            : lycoris ? (convolutions ? ConvRank ?? Rank : 0, ConvAlpha ?? Alpha)
            : (ConvRank ?? 0, ConvAlpha ?? 1);
        var whole = WholeAlpha && family.KeepsWholeAlpha && (!spatial || family.OneSize);
        if (site.Block >= 0 && !lycoris)
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
        foreach (var (pattern, own) in RanksByName)
            if (Matches(pattern, site.Layer.Key))
            {
                rank = own;
                break;
            }
        // In LyCORIS a rank and an alpha of 0 are no rank and no alpha of one's own.
        (rank, alpha) = (change.Rank is > 0 and var ownRank ? ownRank : rank, change.Alpha is { } ownAlpha && ownAlpha != 0 ? ownAlpha : alpha);
        if (rank == 0) return null;
        var unscaled = alpha == 0 && family.Name != AdapterFamilies.KohyaOft.Name;
        return new(rank, unscaled ? rank : alpha)
        {
            WholeAlpha = (whole && change.Alpha is null) || (family.KeepsWholeAlpha && unscaled),
            Form = change.Form?.Invoke(Form) ?? Form,
            Dropout = Dropout,
            RankDropout = RankDropout,
            ModuleDropout = ModuleDropout,
        };
    }

    // The length of a pattern's search is bounded: patterns may come from a stranger's file.
    private static bool Matches(string pattern, string name) => Regex.IsMatch(name, pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));

    private bool Takes(string key) => (Include.Count == 0 || Include.Any(pattern => Matches(pattern, key))) && !Exclude.Any(pattern => Matches(pattern, key));

    /// <summary>Whether resnets and samplers are adapted too.</summary>
    public bool AdaptsConvolutions => ConvRank > 0 || BlockRanks?.ConvRanks is not null || GrownTargets;

    private static string? FlawOf(string pattern)
    {
        try
        {
            _ = new Regex(pattern);
            return null;
        }
        catch (ArgumentException exception)
        {
            return exception.Message;
        }
    }

    internal double? PlusRatio(NetworkPart part)
    {
        var own = part == NetworkPart.UNet ? LoraPlusUNetRatio : LoraPlusTextEncoderRatio;
        return own is null or 0 ? LoraPlusRatio : own;
    }
}

/// <summary>Size, form and dropouts of one adapter.</summary>
/// <param name="Rank">Inner dimension r.</param>
/// <param name="Alpha">Scale numerator; never 0.</param>
public sealed record AdapterNumbers(long Rank, double Alpha)
{
    /// <summary>How it is built.</summary>
    public AdapterForm Form { get; init; } = new();

    /// <summary>K-30: alpha is written as int64.</summary>
    public bool WholeAlpha { get; init; }

    /// <summary>K-01: the alpha of the file it began with, saved in place of the one it was trained with; null: that one.</summary>
    public double? SavedAlpha { get; init; }

    /// <summary>Share of inner activations zeroed.</summary>
    public double Dropout { get; init; }

    /// <summary>Share of ranks zeroed; null: no number is drawn for it.</summary>
    public double? RankDropout { get; init; }

    /// <summary>Probability of being left out; null: no number is drawn for it.</summary>
    public double? ModuleDropout { get; init; }

    /// <summary>Whether numbers are drawn for dropouts.</summary>
    public bool Drops => Dropout > 0 || (RankDropout ?? ModuleDropout) is not null;
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
