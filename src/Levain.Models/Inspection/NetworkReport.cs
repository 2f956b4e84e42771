using System.Text.RegularExpressions;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Models.Inspection;

/// <summary>The adapters of one block that share rank and alpha.</summary>
/// <param name="Part">U-Net or text encoder.</param>
/// <param name="Block">Where in it, in the file's own numbering: <c>down 1</c>, <c>mid</c>, <c>layers</c>.</param>
/// <param name="Family">Kind of adapter: LoRA, LoHa, LoKr, full difference, ….</param>
/// <param name="Rank">Inner dimension; null where the family has none.</param>
/// <param name="Alpha">Scale numerator; null where the file has none (then it equals the rank).</param>
/// <param name="Adapters">How many.</param>
/// <param name="Layers">What they hang on: attention, feed-forward, convolution, other.</param>
public sealed record BlockReport(string Part, string Block, string Family, long? Rank, double? Alpha, int Adapters, IReadOnlyList<string> Layers);

/// <summary>What a network file trains, told from its keys alone.</summary>
/// <param name="Spelling">Whose names it uses: kohya, LyCORIS, diffusers, PEFT.</param>
/// <param name="Blocks">Its adapters by block, rank and alpha.</param>
/// <param name="Adapters">How many adapters there are.</param>
public sealed partial record NetworkReport(string Spelling, IReadOnlyList<BlockReport> Blocks, int Adapters)
{
    // Last part of a key → family and the side of the tensor that is the rank (-1: it has none).
    private static readonly (string Ending, string Family, int RankSide)[] Endings =
    [
        (".lora_down.weight", "LoRA", 0), (".lora_A.weight", "LoRA", 0), (".lora.down.weight", "LoRA", 0), ("_lora.down.weight", "LoRA", 0), (".lora_linear_layer.down.weight", "LoRA", 0), (".lora_A.default.weight", "LoRA", 0),
        (".hada_w1_b", "LoHa", 0), (".lokr_w2_b", "LoKr", 0), (".lokr_w2", "LoKr (full)", -1), (".oft_blocks", "OFT", -1), (".oft_diag", "OFT", -1),
        (".on_input", "IA³", -1), (".a1.weight", "GLoRA", 0), (".w_norm", "norm", -1), (".diff", "full difference", -1),
    ];

    [GeneratedRegex(@"(?:^|[._])(down_blocks|up_blocks|input_blocks|output_blocks)[._](\d+)|(?:^|[._])(mid_block|middle_block)")]
    private static partial Regex UNetBlock();

    /// <summary>Reads a network file's keys; of the values only the alphas.</summary>
    internal static NetworkReport Of(TensorFile file)
    {
        var adapters = new List<(string Module, string Family, long? Rank)>();
        foreach (var entry in file.Entries.Values)
        {
            foreach (var (ending, family, side) in Endings)
            {
                if (!entry.Name.EndsWith(ending, StringComparison.Ordinal)) continue;
                adapters.Add((entry.Name[..^ending.Length], FamilyOf(file, entry.Name[..^ending.Length], family), side >= 0 && entry.Shape.Length > side ? entry.Shape[side] : null));
                break;
            }
        }
        var blocks = adapters
            .Select(adapter => (adapter, Place: PlaceOf(adapter.Module), Alpha: AlphaOf(file, adapter.Module)))
            .GroupBy(item => (item.Place.Part, item.Place.Block, item.adapter.Family, item.adapter.Rank, item.Alpha))
            .Select(group => new BlockReport(group.Key.Part, group.Key.Block, group.Key.Family, group.Key.Rank, group.Key.Alpha, group.Count(),
                [.. group.Select(item => LayerOf(item.adapter.Module)).Distinct().Order()]));
        return new(SpellingOf(file), [.. blocks.OrderBy(block => block.Part, StringComparer.Ordinal).ThenBy(block => BlockOrder(block.Block))], adapters.Count);
    }

    private static string FamilyOf(TensorFile file, string module, string family)
    {
        var words = file.Entries.ContainsKey(module + ".lora_mid.weight") ? "LoRA (Tucker)" : family;
        return file.Entries.ContainsKey(module + ".dora_scale") || file.Entries.ContainsKey(module + ".lora_magnitude_vector.weight") ? $"{words} + DoRA" : words;
    }

    private static double? AlphaOf(TensorFile file, string module)
    {
        if (!file.Entries.TryGetValue(module + ".alpha", out var entry) || entry.Count != 1) return null;
        using var scope = NewDisposeScope();
        return file.View(entry.Name).to(ScalarType.Float64).sum().item<double>();
    }

    private static (string Part, string Block) PlaceOf(string module)
    {
        if (module.StartsWith("lora_te2", StringComparison.Ordinal) || module.StartsWith("clip_g.", StringComparison.Ordinal) || module.StartsWith("text_encoder_2", StringComparison.Ordinal)) return ("text encoder 2", "layers");
        if (module.Contains("text_model", StringComparison.Ordinal) || module.Contains("text_encoder", StringComparison.Ordinal) || module.StartsWith("lora_te", StringComparison.Ordinal)
            || module.StartsWith("clip_", StringComparison.Ordinal)) return ("text encoder", "layers");
        var match = UNetBlock().Match(module);
        if (!match.Success) return ("U-Net", "outside the blocks");
        return ("U-Net", match.Groups[3].Success ? "mid" : $"{match.Groups[1].Value.Split('_')[0]} {match.Groups[2].Value}");
    }

    private static int BlockOrder(string block)
    {
        var number = int.TryParse(block.Split(' ')[^1], out var n) ? n : 0;
        return block[0] switch { 'd' or 'i' => number, 'm' => 100, 'u' => 200 + number, 'o' when block != "outside the blocks" => 200 + number, _ => 1000 };
    }

    private static string LayerOf(string module) => module switch
    {
        _ when module.Contains("attn", StringComparison.Ordinal) => "attention",
        _ when module.Contains("ff_net", StringComparison.Ordinal) || module.Contains("ff.net", StringComparison.Ordinal) || module.Contains("mlp", StringComparison.Ordinal) => "feed-forward",
        _ when module.Contains("proj_in", StringComparison.Ordinal) || module.Contains("proj_out", StringComparison.Ordinal) => "projection",
        _ when module.Contains("conv", StringComparison.Ordinal) || module.Contains("resnets", StringComparison.Ordinal) || module.Contains("in_layers", StringComparison.Ordinal)
            || module.Contains("out_layers", StringComparison.Ordinal) || module.EndsWith("op", StringComparison.Ordinal) => "convolution",
        _ => "other",
    };

    private static string SpellingOf(TensorFile file)
    {
        bool Any(Func<string, bool> is_) => file.Entries.Keys.Any(is_);
        if (Any(key => key.Contains(".lora_A.", StringComparison.Ordinal))) return "PEFT / diffusers";
        if (Any(key => key.EndsWith("lora.down.weight", StringComparison.Ordinal) || key.Contains("lora_linear_layer", StringComparison.Ordinal))) return "diffusers (old)";
        if (Any(key => key.StartsWith("lycoris_", StringComparison.Ordinal) || key.Contains("hada_", StringComparison.Ordinal) || key.Contains("lokr_", StringComparison.Ordinal))) return "LyCORIS";
        return Any(key => key.StartsWith("lora_", StringComparison.Ordinal)) ? "kohya" : "OMI / other";
    }
}
