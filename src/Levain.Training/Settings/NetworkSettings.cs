using System.Globalization;
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

    private const int LycorisBlock = 4;

    /// <summary>Family of adapters; docs/networks.md tells what each is for. Default lora, the guide's choice for characters; locon for styles and concepts.</summary>
    public string Family { get; init; } = "lora";

    /// <summary>A network file to go on from: training begins with its values instead of new ones. Default none.</summary>
    public string? Weights { get; init; }

    /// <summary>Takes layers, ranks and alphas from <see cref="Weights"/> instead of <see cref="Rank"/> and its like. Default false.</summary>
    public bool RankFromWeights { get; init; }

    /// <summary>Inner dimension r of each adapter; 1 to 1024. Default 16.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>Scale numerator: the delta is multiplied by alpha / rank. Null: the rank itself, so the scale is 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>Inner dimension on 3×3 convolutions. Left out, kohya's families (lora, lora_fa, kohya_dylora, kohya_oft) leave them alone, and LyCORIS' families take the rank; 0 leaves them alone.</summary>
    public int? ConvRank { get; init; }

    /// <summary>Scale numerator on 3×3 convolutions. Left out, 1 as kohya's <c>conv_alpha</c>, or the alpha for LyCORIS' families.</summary>
    public double? ConvAlpha { get; init; }

    /// <summary>Which layers LyCORIS' families adapt, by name of a preset: full, full-lin, attn-mlp, attn-only, unet-only, unet-transformer-only, unet-convblock-only, ia3. Default full; attn-mlp has the layers of kohya's LoRA.</summary>
    public string? Preset { get; init; }

    /// <summary>A preset file of LyCORIS, in place of <see cref="Preset"/>: targets by class and name, and other families for some of them.</summary>
    public string? PresetFile { get; init; }

    /// <summary>Regular expressions that may match anywhere in a layer's dotted name (<c>attn2</c>, <c>up_blocks\.3</c>): only these layers are adapted. Left out: all of the family's.</summary>
    public IReadOnlyList<string>? Include { get; init; }

    /// <summary>Regular expressions of layers that get no adapter; goes before <see cref="Include"/>.</summary>
    public IReadOnlyList<string>? Exclude { get; init; }

    /// <summary>Ranks for layers by name, each <c>"pattern=rank"</c>; the first that matches counts, 0 leaves a layer out.</summary>
    public IReadOnlyList<string>? RanksByName { get; init; }

    /// <summary>DoRA (https://arxiv.org/abs/2402.09353) for locon, loha and lokr: magnitudes of their own for output rows or input channels. Default none. <c>output</c> is LyCORIS' and the paper's, but the webui reads <c>input</c> only. Use a lower rate.</summary>
    public DoraAxis Dora { get; init; }

    /// <summary>Tucker (CP) decomposition of 3×3 convolutions for locon, loha and lokr: smaller files. Default false.</summary>
    public bool Tucker { get; init; }

    /// <summary>A trained factor on each delta, started at 0, for locon, loha, lokr and glora. Default false.</summary>
    public bool Scalar { get; init; }

    /// <summary>rsLoRA (https://arxiv.org/abs/2312.03732) for locon, loha, lokr and glora: scale alpha ÷ √rank, so that a high rank learns as fast as a low one. The file's alpha is written so that every program reads the same strength. Default false.</summary>
    public bool RankStabilized { get; init; }

    /// <summary>LyCORIS' bypass mode: the delta acts on activations, with dropout on them. diag-oft, boft and ia3 then change the bias too, which no loader knows. Default false.</summary>
    public bool Bypass { get; init; }

    /// <summary>LyCORIS' families train weight and bias of the normalisations inside their targets too. Default false.</summary>
    public bool TrainNorm { get; init; }

    /// <summary><c>[network.lokr]</c>: Kronecker factors.</summary>
    public LokrSettings Lokr { get; init; } = new();

    /// <summary><c>[network.dylora]</c>: ranks that are trained together.</summary>
    public DyloraSettings Dylora { get; init; } = new();

    /// <summary><c>[network.oft]</c>: limits of rotations.</summary>
    public OftSettings Oft { get; init; } = new();

    /// <summary><c>[network.tlora]</c>: ranks that follow the noise.</summary>
    public TloraSettings Tlora { get; init; } = new();

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

    /// <summary>Learning-rate factors of the 12 down blocks: numbers, or a curve such as <c>"sine+.25"</c>. Null: 1 everywhere. <c>levain block-rates</c> measures what suits.</summary>
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

    /// <summary>The family; null where there is none of that name.</summary>
    public AdapterFamily? AdapterFamily => AdapterFamilies.All.FirstOrDefault(family => family.Name == Family);

    /// <summary>Ranks of a DyLoRA that are trained together: what was given, else the reference's.</summary>
    public int Block => Dylora.Block ?? (AdapterFamily?.Origin is AdapterOrigin.Lycoris ? LycorisBlock : 1);

    /// <summary>What the network room is asked for.</summary>
    /// <param name="wholeAlpha">Whether kohya holds the alpha as a whole number (K-30).</param>
    /// <param name="compat">Which of LyCORIS' mistakes are repeated.</param>
    /// <exception cref="SettingsException">The preset file cannot be read, although it was checked.</exception>
    public NetworkOptions ToOptions(bool wholeAlpha, Compat compat) => new()
    {
        Family = Family,
        Rank = Rank,
        Alpha = EffectiveAlpha,
        ConvRank = ConvRank,
        ConvAlpha = ConvAlpha,
        Targets = Targets(compat),
        TrainNorm = TrainNorm,
        AllLinear = Oft.AllLinear,
        Include = Include ?? [],
        Exclude = Exclude ?? [],
        RanksByName = [.. (RanksByName ?? []).Select(RankByName).OfType<KeyValuePair<string, int>>()],
        Form = new()
        {
            Tucker = Tucker,
            Scalar = Scalar,
            RankStabilized = RankStabilized,
            Bypass = Bypass,
            Dora = Dora,
            Factor = Lokr.Factor,
            DecomposeBoth = Lokr.DecomposeBoth,
            FullMatrix = Lokr.FullMatrix,
            Unbalanced = Lokr.Unbalanced,
            Block = Block,
            Constraint = Oft.Constraint,
            Rescaled = Oft.Rescaled,
            MinRank = Tlora.MinRank,
            RankPower = Tlora.Power,
            AsLycoris = compat.LycorisNumbers,
            FrozenGradients = compat.UntrainedGradientsGrow,
        },
        Dropout = Dropout ?? 0,
        RankDropout = Drawn(RankDropout, compat),
        ModuleDropout = Drawn(ModuleDropout, compat),
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
        ConvAlpha = map.OptionalNumber("conv_alpha", network.ConvAlpha),
        Preset = map.OptionalText("preset", network.Preset),
        PresetFile = map.OptionalPath("preset_file", network.PresetFile),
        Include = map.Texts("include", network.Include),
        Exclude = map.Texts("exclude", network.Exclude),
        RanksByName = map.Texts("ranks_by_name", network.RanksByName),
        Dora = map.Choice("dora", network.Dora),
        Tucker = map.Flag("tucker", network.Tucker),
        Scalar = map.Flag("scalar", network.Scalar),
        RankStabilized = map.Flag("rank_stabilized", network.RankStabilized),
        Bypass = map.Flag("bypass", network.Bypass),
        TrainNorm = map.Flag("train_norm", network.TrainNorm),
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
        Lokr = map.Table("lokr", network.Lokr, LokrSettings.Map),
        Dylora = map.Table("dylora", network.Dylora, DyloraSettings.Map),
        Oft = map.Table("oft", network.Oft, OftSettings.Map),
        Tlora = map.Table("tlora", network.Tlora, TloraSettings.Map),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether block lists of another length are cut or filled up, as kohya does.</param>
    public void Check(Problems problems, bool kohya = false)
    {
        const int most = 1024;
        var family = AdapterFamily;
        problems.Require(family is not null, "family", $"is \"{Family}\".", Nearest.Advice(Family, [.. AdapterFamilies.All.Select(known => known.Name)]));
        problems.Require(!RankFromWeights || Weights is not null, "rank_from_weights", "is true, but no file to take them from is named.", "Name it: weights = \"mine.safetensors\".");
        var lycoris = family?.Origin is AdapterOrigin.Lycoris;
        // LyCORIS' "full dimension" is a rank beyond every side. kohya has no limit, and a rank too large for a layer is told where it is made.
        var largest = kohya || Family == AdapterFamilies.LoKr.Name ? int.MaxValue : most;
        problems.Require(Rank >= 1 && Rank <= largest, "rank", $"is {Rank}.", "Use 1 to 1024; 16 suits most subjects.");
        problems.Require(Alpha is null or > 0 || (Alpha == 0 && (kohya || family?.OneSize == true)), "alpha", $"is {Alpha}.", "Use a positive number; the rank itself gives scale 1.");
        problems.Require(ConvRank is null or >= 0 && (ConvRank ?? 0) <= largest, "conv_rank", $"is {ConvRank}.", "Use 1 to 1024, or 0 to leave convolutions alone.");
        problems.Require(ConvAlpha is null or > 0 || lycoris || (ConvAlpha == 0 && kohya), "conv_alpha", $"is {ConvAlpha}.", "Use a positive number; conv_rank itself gives scale 1.");
        if (family is not null) CheckFamily(problems, family, kohya);
        Share(problems, "dropout", Dropout);
        Share(problems, "rank_dropout", RankDropout);
        Share(problems, "module_dropout", ModuleDropout);
        problems.Require(MaxNorm is null or > 0, "max_norm", $"is {MaxNorm}.", "Use a positive number; 1 is usual.");
        Count(problems, "block_ranks", BlockRanks?.Count, BlockRanks?.All(rank => rank >= 0 && (kohya || rank <= most)) ?? true, "0 to 1024");
        // To kohya an alpha of 0 is the rank.
        var noAlpha = kohya ? -double.Epsilon : 0;
        Count(problems, "block_alphas", BlockAlphas?.Count, BlockAlphas?.All(alpha => alpha > noAlpha) ?? true, "above 0");
        Count(problems, "conv_block_ranks", ConvBlockRanks?.Count, ConvBlockRanks?.All(rank => rank >= 0 && (kohya || rank <= most)) ?? true, "0 to 1024");
        Count(problems, "conv_block_alphas", ConvBlockAlphas?.Count, ConvBlockAlphas?.All(alpha => alpha > noAlpha) ?? true, "above 0");
        problems.Require(BlockRanks is not null || (BlockAlphas ?? (object?)ConvBlockRanks ?? ConvBlockAlphas) is null || HasBlockWeights,
            "block_alphas", "is given without block_ranks.", "Give block_ranks too: 25 numbers.");
        DownWeights?.Check(problems, "down_weights", BlockCurve.Side, kohya);
        MidWeight?.Check(problems, "mid_weight", 1, kohya);
        UpWeights?.Check(problems, "up_weights", BlockCurve.Side, kohya);
        foreach (var (name, ratio) in new[] { ("loraplus_ratio", LoraPlusRatio), ("loraplus_unet_ratio", LoraPlusUnetRatio), ("loraplus_text_encoder_ratio", LoraPlusTextEncoderRatio) })
            problems.Require(ratio is null or >= 0, name, $"is {ratio}.", "Use a positive factor; 16 is the paper's.");
        problems.Require(BlockZeroThreshold >= 0, "block_zero_threshold", $"is {BlockZeroThreshold}.", "Use 0 or more.");
    }

    private void CheckFamily(Problems problems, AdapterFamily family, bool kohya)
    {
        var lycoris = family.Origin is AdapterOrigin.Lycoris;
        var decomposed = new[] { AdapterFamilies.LoCon, AdapterFamilies.LoHa, AdapterFamilies.LoKr, AdapterFamilies.Dora };
        void Belongs(bool given, string name, IEnumerable<AdapterFamily> to) =>
            problems.Require(!given || to.Contains(family), name, $"is set, which means nothing to the family \"{family.Name}\".", $"It belongs to {string.Join(", ", to.Select(one => one.Name))}.");

        // A preset file may bring families of its own, to which these belong.
        if (PresetFile is null)
        {
            Belongs(Dora is not DoraAxis.None, "dora", decomposed);
            Belongs(Tucker, "tucker", decomposed);
            Belongs(Scalar, "scalar", [.. decomposed, AdapterFamilies.Glora]);
            Belongs(RankStabilized, "rank_stabilized", [.. decomposed, AdapterFamilies.Glora]);
            Belongs(Lokr != new LokrSettings(), "lokr", [AdapterFamilies.LoKr]);
            Belongs(Dylora != new DyloraSettings(), "dylora", [AdapterFamilies.Dylora, AdapterFamilies.KohyaDylora]);
            Belongs(Oft.Constraint != 0 || Oft.Rescaled, "oft", [AdapterFamilies.DiagOft, AdapterFamilies.Boft]);
        }
        Belongs(Oft.AllLinear, "oft.all_linear", [AdapterFamilies.KohyaOft]);
        Belongs(Bypass, "bypass", [.. decomposed, AdapterFamilies.Glora, AdapterFamilies.DiagOft, AdapterFamilies.Boft, AdapterFamilies.Ia3]);
        problems.Require(!Bypass || kohya || (Dora is DoraAxis.None && family != AdapterFamilies.Dora), "bypass", "is set with DoRA, which LyCORIS then leaves out.", "Use one of them.");
        Lokr.Check(problems.In("lokr"), kohya);
        Oft.Check(problems.In("oft"));
        Belongs(Tlora != new TloraSettings(), "tlora", [AdapterFamilies.TLora]);
        if (family == AdapterFamilies.TLora) Tlora.Check(problems.In("tlora"), Rank);
        problems.Require(family != AdapterFamilies.Orthogonal || Rank % 2 == 0, "rank", $"is {Rank}, and an orthogonal start needs pairs.", "Use an even rank.");
        if (family == AdapterFamilies.Dylora || family == AdapterFamilies.KohyaDylora) Dylora.Check(problems.In("dylora"), Rank, Block);
        problems.Require(family != AdapterFamilies.KohyaDylora || ConvRank is null or 0 || ConvRank == Rank, "conv_rank", $"is {ConvRank} and rank {Rank}.", "kohya_dylora needs the same in both.");
        problems.Require(family != AdapterFamilies.KohyaOft || Train is not TrainedPart.TextEncoder, "train", "is \"text_encoder\", of which kohya_oft trains nothing.", "Use train = \"unet\".");
        problems.Require(lycoris || (Preset is null && PresetFile is null && !TrainNorm), Preset is not null ? "preset" : PresetFile is not null ? "preset_file" : "train_norm",
            $"is set, which means nothing to the family \"{family.Name}\".", "Use a family of LyCORIS, such as locon, or include and exclude.");
        problems.Require(!lycoris || !(HasBlocks || BlockAlphas is not null || ConvBlockRanks is not null || ConvBlockAlphas is not null), "block_ranks",
            $"or another setting of single blocks is given; LyCORIS' family \"{family.Name}\" has none.", "Use include, exclude, ranks_by_name or a preset file.");
        problems.Require(Preset is null || PresetFile is null, "preset_file", "is given beside preset.", "Give one of them.");
        if (Preset is { } preset) problems.Require(LayerPresets.Named(preset) is not null, "preset", $"is \"{preset}\".", Nearest.Advice(preset, [.. LayerPresets.All.Select(known => known.Name)]));
        foreach (var entry in RanksByName ?? []) problems.Require(RankByName(entry) is not null, "ranks_by_name", $"holds \"{entry}\".", "Write \"pattern=rank\", such as \"attn2=8\".");
        if (PresetFile is not null) ReadPreset(problems, kohya);
        new NetworkOptions { Include = Include ?? [], Exclude = Exclude ?? [], RanksByName = [.. (RanksByName ?? []).Select(RankByName).OfType<KeyValuePair<string, int>>()] }.Check(problems);
    }

    private static double? Drawn(double? share, Compat compat) => share == 0 && !compat.ZeroDropoutsDraw ? null : share;

    private LayerTargets? Targets(Compat compat)
    {
        if (PresetFile is not null)
        {
            var problems = new Problems();
            var read = ReadPreset(problems, lenient: compat.LycorisNumbers);
            problems.ThrowIfAny();
            return read;
        }
        var preset = Preset is null ? null : LayerPresets.Named(Preset);
        var withTime = compat.LycorisTimeEmbedding && (preset == LayerPresets.AttnMlp || preset == LayerPresets.UnetTransformerOnly);
        return withTime ? preset!.Targets with { UNet = ["TimestepEmbedding", .. preset.Targets.UNet] } : preset?.Targets;
    }

    private LayerTargets? ReadPreset(Problems problems, bool lenient)
    {
        try
        {
            return LayerPresetFile.Read(File.ReadAllText(PresetFile!), Path.GetFileName(PresetFile!), problems, lenient);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("preset_file", $"names {PresetFile}, which cannot be read.", "Name a TOML file of LyCORIS' presets.");
            return null;
        }
    }

    private static KeyValuePair<string, int>? RankByName(string entry) =>
        entry.LastIndexOf('=') is > 0 and var equals && int.TryParse(entry.AsSpan(equals + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var rank) ? new(entry[..equals], rank) : null;

    private static void Share(Problems problems, string name, double? share) =>
        problems.Require(share is null or >= 0 and < 1, name, $"is {share}.", "Use 0 to below 1; 0.1 is much.");

    private static void Count(Problems problems, string name, int? count, bool inRange, string range)
    {
        problems.Require(count is null or Blocks, name, $"has {count} numbers.", "Give 25: IN00–IN11, MID, OUT00–OUT11.");
        problems.Require(inRange, name, "holds a number outside its range.", $"Each is {range}.");
    }
}
