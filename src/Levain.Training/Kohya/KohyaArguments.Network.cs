using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
    // Strengths that are missing at the end are 1.
    private static IReadOnlyList<BaseNetwork> BaseNetworks(KohyaCommandLine line)
    {
        var strengths = line.Numbers("base_weights_multiplier") ?? [];
        return [.. (line.Texts("base_weights") ?? []).Select((file, i) => new BaseNetwork { File = FullPath(file), Strength = i < strengths.Count ? strengths[i] : 1 })];
    }

    private static (NetworkSettings, IReadOnlyList<KeyValuePair<string, string>>?) Network(KohyaCommandLine line, Problems problems)
    {
        var module = line.Text("network_module");
        if (module is null) problems.Add("--network_module", "is not given.", "Use networks.lora.");
        else if (module != "networks.lora") problems.Add("--network_module", $"is {module}, which is not supported.", "Use networks.lora; conv_dim in --network_args adapts convolutions too.");
        var rank = line.Whole("network_dim") ?? DefaultRank;
        var network = new NetworkSettings
        {
            Weights = FullPath(line.Text("network_weights")),
            RankFromWeights = line.Flag("dim_from_weights"),
            Rank = rank,
            Alpha = line.Number("network_alpha") is 0 ? rank : line.Number("network_alpha"),
            Dropout = line.Number("network_dropout"),
            MaxNorm = line.Number("scale_weight_norms"),
            Train = line.Flag("network_train_unet_only") ? TrainedPart.Unet : line.Flag("network_train_text_encoder_only") ? TrainedPart.TextEncoder : TrainedPart.Both,
        };
        if (line.Texts("network_args") is not { } words) return (network, null);
        var pairs = new OrderedDictionary<string, string>();
        foreach (var word in words)
        {
            var equals = word.IndexOf('=');
            if (equals <= 0) problems.Add("--network_args", $"holds \"{word}\".", "Write name=value.");
            else pairs[word[..equals]] = word[(equals + 1)..];
        }
        if (module != "networks.lora") return (network, [.. pairs]);
        var known = new List<string>();
        var at = problems.In("--network_args");
        network = network with
        {
            ConvRank = Arg("conv_dim", Int, null),
            ConvAlpha = Arg("conv_alpha", Double, null) ?? 1,
            Dropout = Arg("dropout", Double, null) ?? network.Dropout,
            RankDropout = Arg("rank_dropout", Double, null),
            ModuleDropout = Arg("module_dropout", Double, null),
            BlockRanks = List("block_dims", Int),
            BlockAlphas = List("block_alphas", Double),
            ConvBlockRanks = List("conv_block_dims", Int),
            ConvBlockAlphas = List("conv_block_alphas", Double),
            DownWeights = Curve("down_lr_weight"),
            MidWeight = Curve("mid_lr_weight"),
            UpWeights = Curve("up_lr_weight"),
            BlockZeroThreshold = Arg("block_lr_zero_threshold", Double, null) ?? 0,
            LoraPlusRatio = Arg("loraplus_lr_ratio", Double, null),
            LoraPlusUnetRatio = Arg("loraplus_unet_lr_ratio", Double, null),
            LoraPlusTextEncoderRatio = Arg("loraplus_text_encoder_lr_ratio", Double, null),
        };
        foreach (var name in pairs.Keys.Except(known)) at.Add(name, "is not an argument of networks.lora.", Nearest.Advice(name, known));
        return (network, [.. pairs]);

        T? Arg<T>(string name, Func<string, T?> parse, T? otherwise) where T : struct
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text) || text == "None") return otherwise;
            if (parse(text) is { } value) return value;
            at.Add(name, $"is \"{text}\".", typeof(T) == typeof(int) ? "Give a whole number." : "Give a number.");
            return otherwise;
        }

        IReadOnlyList<T>? List<T>(string name, Func<string, T?> parse) where T : struct
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text)) return null;
            var values = text.Split(',').Select(parse).ToList();
            if (values.All(value => value is not null)) return [.. values.Select(value => value!.Value)];
            at.Add(name, $"is \"{text}\".", "Give 25 numbers with commas between.");
            return null;
        }

        BlockCurve? Curve(string name)
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text)) return null;
            if (BlockCurve.Parse(text) is { } curve) return curve;
            at.Add(name, $"is \"{text}\".", $"Give {BlockCurve.Form}.");
            return null;
        }
    }
}
