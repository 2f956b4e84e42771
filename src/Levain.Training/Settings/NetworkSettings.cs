using Levain.Core;
using Levain.Networks;

namespace Levain.Training.Settings;

/// <summary>Which half of the model gets adapters.</summary>
public enum TrainedPart
{
    /// <summary>U-Net and text encoder.</summary>
    Both,

    /// <summary>The U-Net only.</summary>
    Unet,

    /// <summary>The text encoder only.</summary>
    TextEncoder,
}

/// <summary>The <c>[network]</c> table: the LoRA that is trained.</summary>
public sealed record NetworkSettings
{
    /// <summary>Adapters of a block network: U-Net blocks in kohya's count.</summary>
    public const int Blocks = 25;

    /// <summary>Family of adapters; <c>lora</c> is what this version trains. Default lora.</summary>
    public string Family { get; init; } = "lora";

    /// <summary>A network file to go on from: training begins with its values instead of new ones. Default none.</summary>
    public string? Weights { get; init; }

    /// <summary>Takes layers, ranks and alphas from <see cref="Weights"/> instead of <see cref="Rank"/> and its like. Default false.</summary>
    public bool RankFromWeights { get; init; }

    /// <summary>Inner dimension r of each adapter; 1 to 1024. Default 16.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>Scale numerator: the delta is multiplied by alpha / rank. Null: the rank itself, so the scale is 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>Inner dimension on 3×3 convolutions; null leaves them alone.</summary>
    public int? ConvRank { get; init; }

    /// <summary>Scale numerator on 3×3 convolutions. Default 1, as kohya's <c>conv_alpha</c>.</summary>
    public double ConvAlpha { get; init; } = 1;

    /// <summary>Share of inputs to the up projection set to zero in a step, 0..1; null: none.</summary>
    public double? Dropout { get; init; }

    /// <summary>Share of ranks left out in a step, 0..1; null: none.</summary>
    public double? RankDropout { get; init; }

    /// <summary>Share of adapters left out in a step, 0..1; null: none.</summary>
    public double? ModuleDropout { get; init; }

    /// <summary>Which half of the model gets adapters. Default both.</summary>
    public TrainedPart Train { get; init; } = TrainedPart.Both;

    /// <summary>Largest norm of a layer's delta; larger ones are scaled down after a step (kohya's <c>scale_weight_norms</c>). Null: no limit.</summary>
    public double? MaxNorm { get; init; }

    /// <summary>Rank for each of the 25 U-Net blocks (IN00–IN11, MID, OUT00–OUT11 at index 0–24); null: <see cref="Rank"/> everywhere.</summary>
    public IReadOnlyList<int>? BlockRanks { get; init; }

    /// <summary>Alpha for each of the 25 blocks; null: <see cref="Alpha"/> everywhere.</summary>
    public IReadOnlyList<double>? BlockAlphas { get; init; }

    /// <summary>Convolution rank for each of the 25 blocks; null: <see cref="ConvRank"/> everywhere.</summary>
    public IReadOnlyList<int>? ConvBlockRanks { get; init; }

    /// <summary>Convolution alpha for each of the 25 blocks; null: <see cref="ConvAlpha"/> everywhere.</summary>
    public IReadOnlyList<double>? ConvBlockAlphas { get; init; }

    /// <summary>Learning-rate factors of the 12 down blocks: numbers, or a curve such as <c>"sine+.25"</c>. Null: 1 everywhere.</summary>
    public BlockCurve? DownWeights { get; init; }

    /// <summary>Learning-rate factor of the middle block. Null: 1.</summary>
    public BlockCurve? MidWeight { get; init; }

    /// <summary>Learning-rate factors of the 12 up blocks: numbers, or a curve. Null: 1 everywhere.</summary>
    public BlockCurve? UpWeights { get; init; }

    /// <summary>Factors up to this count as 0, and a block whose factor is 0 gets no adapters. Default 0.</summary>
    public double BlockZeroThreshold { get; init; }

    /// <summary>LoRA+ (https://arxiv.org/abs/2402.12354): factor on the learning rate of the up half; null: none. 16 is the paper's.</summary>
    public double? LoraPlusRatio { get; init; }

    /// <summary>As <see cref="LoraPlusRatio"/>, for the U-Net only; goes before it.</summary>
    public double? LoraPlusUnetRatio { get; init; }

    /// <summary>As <see cref="LoraPlusRatio"/>, for the text encoder only; goes before it.</summary>
    public double? LoraPlusTextEncoderRatio { get; init; }

    /// <summary>Alpha as used: what was given, else the rank.</summary>
    public double EffectiveAlpha => Alpha ?? Rank;

    /// <summary>Whether any setting speaks of single blocks.</summary>
    public bool HasBlocks => BlockRanks is not null || HasBlockWeights;

    /// <summary>Whether blocks have learning-rate factors of their own.</summary>
    public bool HasBlockWeights => DownWeights is not null || MidWeight is not null || UpWeights is not null;

    /// <summary>What the network room is asked for.</summary>
    /// <param name="wholeAlpha">Whether the alpha is kohya's untouched whole number (K-30).</param>
    public NetworkOptions ToOptions(bool wholeAlpha) => new()
    {
        Family = Family,
        Rank = Rank,
        Alpha = EffectiveAlpha,
        ConvRank = ConvRank,
        ConvAlpha = ConvAlpha,
        Dropout = Dropout ?? 0,
        RankDropout = RankDropout ?? 0,
        ModuleDropout = ModuleDropout ?? 0,
        TrainUNet = Train is not TrainedPart.TextEncoder,
        TrainTextEncoder = Train is not TrainedPart.Unet,
        BlockRanks = BlockRanks is null && ConvBlockRanks is null && BlockAlphas is null && ConvBlockAlphas is null ? null : new()
        {
            Ranks = BlockRanks ?? [.. Enumerable.Repeat(Rank, Blocks)],
            Alphas = BlockAlphas,
            ConvRanks = ConvBlockRanks,
            ConvAlphas = ConvBlockAlphas,
        },
        BlockRates = !HasBlockWeights ? null : new()
        {
            Down = DownWeights?.Spelt(BlockCurve.Side),
            Mid = MidWeight?.Spelt(1),
            Up = UpWeights?.Spelt(BlockCurve.Side),
            ZeroThreshold = BlockZeroThreshold,
        },
        LoraPlusRatio = LoraPlusRatio,
        LoraPlusUNetRatio = LoraPlusUnetRatio,
        LoraPlusTextEncoderRatio = LoraPlusTextEncoderRatio,
        WholeAlpha = wholeAlpha,
    };

    /// <summary>The table's keys.</summary>
    public static NetworkSettings Map(NetworkSettings network, TomlMap map) => network with
    {
        Family = map.Text("family", network.Family),
        Weights = map.OptionalPath("weights", network.Weights),
        RankFromWeights = map.Flag("rank_from_weights", network.RankFromWeights),
        Rank = map.Whole("rank", network.Rank),
        Alpha = map.OptionalNumber("alpha", network.Alpha),
        ConvRank = map.OptionalWhole("conv_rank", network.ConvRank),
        ConvAlpha = map.Number("conv_alpha", network.ConvAlpha),
        Dropout = map.OptionalNumber("dropout", network.Dropout),
        RankDropout = map.OptionalNumber("rank_dropout", network.RankDropout),
        ModuleDropout = map.OptionalNumber("module_dropout", network.ModuleDropout),
        Train = map.Choice("train", network.Train),
        MaxNorm = map.OptionalNumber("max_norm", network.MaxNorm),
        BlockRanks = map.Wholes("block_ranks", network.BlockRanks),
        BlockAlphas = map.Numbers("block_alphas", network.BlockAlphas),
        ConvBlockRanks = map.Wholes("conv_block_ranks", network.ConvBlockRanks),
        ConvBlockAlphas = map.Numbers("conv_block_alphas", network.ConvBlockAlphas),
        DownWeights = map.Own("down_weights", network.DownWeights, BlockCurve.Read, curve => curve.Write(), BlockCurve.Form),
        MidWeight = map.Own("mid_weight", network.MidWeight, BlockCurve.Read, curve => curve.Write(), BlockCurve.Form),
        UpWeights = map.Own("up_weights", network.UpWeights, BlockCurve.Read, curve => curve.Write(), BlockCurve.Form),
        BlockZeroThreshold = map.Number("block_zero_threshold", network.BlockZeroThreshold),
        LoraPlusRatio = map.OptionalNumber("loraplus_ratio", network.LoraPlusRatio),
        LoraPlusUnetRatio = map.OptionalNumber("loraplus_unet_ratio", network.LoraPlusUnetRatio),
        LoraPlusTextEncoderRatio = map.OptionalNumber("loraplus_text_encoder_ratio", network.LoraPlusTextEncoderRatio),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether block lists of another length are cut or filled up, as kohya does.</param>
    public void Check(Problems problems, bool kohya = false)
    {
        const int most = 1024;
        problems.Require(Family == "lora", "family", $"is \"{Family}\", which this version does not train.", "Use \"lora\" (with conv_rank for convolutions).");
        problems.Require(!RankFromWeights || Weights is not null, "rank_from_weights", "is true, but no file to take them from is named.", "Name it: weights = \"mine.safetensors\".");
        problems.Require(Rank is >= 1 and <= most, "rank", $"is {Rank}.", "Use 1 to 1024; 16 suits most subjects.");
        problems.Require(Alpha is null or > 0, "alpha", $"is {Alpha}.", "Use a positive number; the rank itself gives scale 1.");
        problems.Require(ConvRank is null or >= 1 and <= most, "conv_rank", $"is {ConvRank}.", "Use 1 to 1024, or leave it out to leave convolutions alone.");
        problems.Require(ConvAlpha > 0, "conv_alpha", $"is {ConvAlpha}.", "Use a positive number; conv_rank itself gives scale 1.");
        Share(problems, "dropout", Dropout);
        Share(problems, "rank_dropout", RankDropout);
        Share(problems, "module_dropout", ModuleDropout);
        problems.Require(MaxNorm is null or > 0, "max_norm", $"is {MaxNorm}.", "Use a positive number; 1 is usual.");
        Count(problems, "block_ranks", BlockRanks?.Count, BlockRanks?.All(rank => rank is >= 0 and <= most) ?? true, "0 to 1024");
        Count(problems, "block_alphas", BlockAlphas?.Count, BlockAlphas?.All(alpha => alpha > 0) ?? true, "above 0");
        Count(problems, "conv_block_ranks", ConvBlockRanks?.Count, ConvBlockRanks?.All(rank => rank is >= 0 and <= most) ?? true, "0 to 1024");
        Count(problems, "conv_block_alphas", ConvBlockAlphas?.Count, ConvBlockAlphas?.All(alpha => alpha > 0) ?? true, "above 0");
        problems.Require(BlockRanks is not null || (BlockAlphas ?? (object?)ConvBlockRanks ?? ConvBlockAlphas) is null || HasBlockWeights,
            "block_alphas", "is given without block_ranks.", "Give block_ranks too: 25 numbers.");
        DownWeights?.Check(problems, "down_weights", BlockCurve.Side, kohya);
        MidWeight?.Check(problems, "mid_weight", 1, kohya);
        UpWeights?.Check(problems, "up_weights", BlockCurve.Side, kohya);
        foreach (var (name, ratio) in new[] { ("loraplus_ratio", LoraPlusRatio), ("loraplus_unet_ratio", LoraPlusUnetRatio), ("loraplus_text_encoder_ratio", LoraPlusTextEncoderRatio) })
            problems.Require(ratio is null or >= 0, name, $"is {ratio}.", "Use a positive factor; 16 is the paper's.");
        problems.Require(BlockZeroThreshold >= 0, "block_zero_threshold", $"is {BlockZeroThreshold}.", "Use 0 or more.");
    }

    private static void Share(Problems problems, string name, double? share) =>
        problems.Require(share is null or >= 0 and < 1, name, $"is {share}.", "Use 0 to below 1; 0.1 is much.");

    private static void Count(Problems problems, string name, int? count, bool inRange, string range)
    {
        problems.Require(count is null or Blocks, name, $"has {count} numbers.", "Give 25: IN00–IN11, MID, OUT00–OUT11.");
        problems.Require(inRange, name, "holds a number outside its range.", $"Each is {range}.");
    }
}
