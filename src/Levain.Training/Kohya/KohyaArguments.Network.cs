using Levain.Core;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
    private static readonly string[] Modules = ["networks.lora", "networks.lora_fa", "networks.dylora", "networks.oft", "lycoris.kohya"];

    // kohya's own DyLoRA and OFT know no limit of norms, and 0 is none: its trainer switches the option off.
    private static bool LimitsNorms(KohyaCommandLine line) => line.Number("scale_weight_norms") is not (null or 0) && line.Text("network_module") is not ("networks.dylora" or "networks.oft");

    // Strengths that are missing at the end are 1.
    private static IReadOnlyList<BaseNetwork> BaseNetworks(KohyaCommandLine line)
    {
        var strengths = line.Numbers("base_weights_multiplier") ?? [];
        return [.. (line.Texts("base_weights") ?? []).Select((file, i) => new BaseNetwork { File = FullPath(file), Strength = i < strengths.Count ? strengths[i] : 1 })];
    }

    private static (NetworkSettings, IReadOnlyList<KeyValuePair<string, string>>?) Network(KohyaCommandLine line, Problems problems, ICollection<string>? notes)
    {
        var module = line.Text("network_module");
        if (module is null) problems.Add("--network_module", "is not given.", "Use networks.lora.");
        else if (!Modules.Contains(module)) problems.Add("--network_module", $"is {module}, which is not supported.", Nearest.Advice(module, Modules));
        var network = new NetworkSettings
        {
            Weights = FullPath(line.Text("network_weights")),
            RankFromWeights = line.Flag("dim_from_weights"),
            Rank = line.Whole("network_dim") ?? DefaultRank,
            Alpha = line.Number("network_alpha"),
            Dropout = line.Number("network_dropout"),
            MaxNorm = LimitsNorms(line) ? line.Number("scale_weight_norms") : null,
            Train = line.Flag("network_train_unet_only") ? TrainedPart.Unet : line.Flag("network_train_text_encoder_only") ? TrainedPart.TextEncoder : TrainedPart.Both,
        };
        OrderedDictionary<string, string>? pairs = null;
        foreach (var word in line.Texts("network_args") ?? [])
        {
            var equals = word.IndexOf('=');
            if (equals <= 0) problems.Add("--network_args", $"holds \"{word}\".", "Write name=value.");
            else (pairs ??= [])[word[..equals]] = word[(equals + 1)..];
        }
        var arguments = new NetworkArguments(pairs ?? [], problems.In("--network_args"));
        network = module switch
        {
            "networks.lora" => WithPlus(Lora(network, arguments), arguments),
            "networks.lora_fa" => LoraFa(network, arguments),
            "networks.dylora" => Dylora(network, arguments),
            "networks.oft" => Oft(network, arguments),
            "lycoris.kohya" => Lycoris(network, arguments),
            _ => network,
        };
        if (module is not null && Modules.Contains(module)) arguments.NoteOthers(module, notes);
        return (network, line.Texts("network_args") is null or [] ? null : [.. pairs ?? []]);       // an empty list is none in Python
    }

    private static NetworkSettings Lora(NetworkSettings network, NetworkArguments arguments)
    {
        arguments.Passes("dropout");                // never read: --network_dropout counts
        if (!arguments.Has("block_dims", "down_lr_weight", "mid_lr_weight", "up_lr_weight"))
            foreach (var unread in new[] { "block_alphas", "conv_block_dims", "conv_block_alphas" }) arguments.Ignore(unread, "block_dims");
        if (!arguments.Has("conv_block_dims")) arguments.Ignore("conv_block_alphas", "conv_block_dims");
        return network with
        {
            ConvRank = arguments.Whole("conv_dim"),
            ConvAlpha = arguments.Number("conv_alpha"),
            RankDropout = arguments.Number("rank_dropout"),
            ModuleDropout = arguments.Number("module_dropout"),
            BlockRanks = arguments.Wholes("block_dims"),
            BlockAlphas = arguments.Numbers("block_alphas"),
            ConvBlockRanks = arguments.Wholes("conv_block_dims"),
            ConvBlockAlphas = arguments.Numbers("conv_block_alphas"),
            DownWeights = arguments.Curve("down_lr_weight"),
            MidWeight = arguments.Curve("mid_lr_weight"),
            UpWeights = arguments.Curve("up_lr_weight"),
            BlockZeroThreshold = arguments.Number("block_lr_zero_threshold") ?? 0,
        };
    }

    // LoRA-FA knows nothing of LoRA+, and passes over its arguments.
    private static NetworkSettings LoraFa(NetworkSettings network, NetworkArguments arguments)
    {
        foreach (var unused in new[] { "loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio" }) arguments.Passes(unused);
        return Lora(network with { Family = AdapterFamilies.LoraFa.Name }, arguments);
    }

    private static NetworkSettings Dylora(NetworkSettings network, NetworkArguments arguments)
    {
        arguments.Passes("conv_alpha");             // read and never used: every adapter has network_alpha
        arguments.Passes("dropout");
        return WithPlus(network, arguments) with
        {
            Family = AdapterFamilies.KohyaDylora.Name,
            ConvRank = arguments.Whole("conv_dim"),
            Dylora = new() { Block = arguments.Whole("unit") },
        };
    }

    private static NetworkSettings Oft(NetworkSettings network, NetworkArguments arguments)
    {
        arguments.Passes("dropout");
        // Python's bool of a text: everything but an empty one.
        return network with
        {
            Family = AdapterFamilies.KohyaOft.Name,
            Oft = new() { AllLinear = arguments.Text("enable_all_linear") is { Length: > 0 } },
            ConvRank = arguments.Text("enable_conv") is { Length: > 0 } ? network.Rank : null,
        };
    }

    private static NetworkSettings Lycoris(NetworkSettings network, NetworkArguments arguments)
    {
        var algorithm = arguments.Text("algo") is { Length: > 0 } given ? given : "lora";
        var family = arguments.Family(algorithm) ?? network.Family;
        var preset = arguments.Text("preset") ?? LayerPresets.Full.Name;
        var file = LayerPresets.Named(preset) is null;
        // Each of these names is put in use_tucker's place, and the first text of the three decides (L-10).
        var tucker = arguments.Text("use_tucker");
        foreach (var old in new[] { "disable_conv_cp", "use_cp", "use_conv_cp" }) tucker = arguments.Text(old) ?? tucker;
        tucker = new[] { arguments.Text("use_conv_cp"), arguments.Text("use_cp"), tucker }.FirstOrDefault(text => text is { Length: > 0 });
        var axis = arguments.Flag("wd_on_output", otherwise: true) ? DoraAxis.Output : DoraAxis.Input;
        foreach (var unused in new[] { "train_t5xxl", "no_dim_warn", "rank_dropout_scale" }) arguments.Passes(unused);
        var decomposed = arguments.Flag("dora_wd");
        return WithPlus(network, arguments) with
        {
            Family = family,
            Preset = file ? null : preset,
            PresetFile = file ? Path.GetFullPath(preset) : null,
            ConvRank = arguments.Whole("conv_dim"),
            ConvAlpha = arguments.Number("conv_alpha"),
            Dropout = arguments.Number("dropout") ?? network.Dropout,
            RankDropout = arguments.Number("rank_dropout"),
            ModuleDropout = arguments.Number("module_dropout"),
            TrainNorm = arguments.Flag("train_norm"),
            // LyCORIS hands every argument to every module, and modules pass over what they do not know.
            Dora = Of(decomposed, "locon", "loha", "lokr") ? axis : DoraAxis.None,
            Tucker = Of(tucker is not null && NetworkArguments.IsTrue(tucker), "locon", "loha", "lokr"),
            Scalar = Of(arguments.Flag("use_scalar"), "locon", "loha", "lokr", "glora"),
            RankStabilized = Of(arguments.Flag("rs_lora"), "locon", "loha", "lokr", "glora"),
            Bypass = Of(arguments.Flag("bypass_mode"), "locon", "loha", "lokr", "glora", "diag-oft", "boft", "ia3"),
            Lokr = family != "lokr" && !file ? Read(new LokrSettings()) : new()
            {
                Factor = arguments.Whole("factor") ?? -1,
                DecomposeBoth = arguments.Text("decompose_both") is { Length: > 0 },        // L-10: any text is true
                FullMatrix = arguments.Flag("full_matrix"),
                Unbalanced = arguments.Flag("unbalanced_factorization"),
            },
            Dylora = new() { Block = arguments.Whole("block_size") is > 0 and var block && (family == "dylora" || file) ? block : null },
            Oft = new()
            {
                Constraint = (arguments.Number("constraint") ?? arguments.Number("constrain")) is { } limit && Of(true, "diag-oft", "boft") ? limit : 0,
                Rescaled = Of(arguments.Flag("rescaled"), "diag-oft", "boft"),
            },
        };

        bool Of(bool given, params string[] families) => given && (file || families.Contains(family));

        LokrSettings Read(LokrSettings none)
        {
            foreach (var name in new[] { "factor", "decompose_both", "full_matrix", "unbalanced_factorization" }) arguments.Passes(name);
            return none;
        }
    }

    private static NetworkSettings WithPlus(NetworkSettings network, NetworkArguments arguments) => network with
    {
        LoraPlusRatio = arguments.Number("loraplus_lr_ratio"),
        LoraPlusUnetRatio = arguments.Number("loraplus_unet_lr_ratio"),
        LoraPlusTextEncoderRatio = arguments.Number("loraplus_text_encoder_lr_ratio"),
    };
}
