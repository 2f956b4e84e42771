using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A network that enlarges pictures: a file of the ESRGAN family (ESRGAN, RealSR, BSRGAN, Real-ESRGAN and its compact form).</summary>
public sealed partial class UpscaleModel : IDisposable
{
    // Wrappers and prefixes such files come with; the first that is there is taken off.
    private static readonly string[] Wrappers = ["model_state_dict.", "state_dict.", "params_ema.", "params-ema.", "params.", "model.net.", "net."];
    private static readonly string[] Prefixes = ["module.", "netG."];

    private readonly nn.Module<Tensor, Tensor> network;
    private readonly Compute compute;

    private UpscaleModel(nn.Module<Tensor, Tensor> network, int scale, Compute compute) => (this.network, Scale, this.compute) = (network, scale, compute);

    /// <summary>How much larger pictures become.</summary>
    public int Scale { get; }

    /// <summary>Opens a file in any of the family's key namings; all sizes are read from its tensors.</summary>
    /// <exception cref="CheckpointException">It is damaged, or no network of this family.</exception>
    public static UpscaleModel Open(string path, Compute compute)
    {
        using var file = TensorFile.Open(path);
        var keys = Keys(file);
        var weights = new ComponentWeights(path, name => keys.TryGetValue(name, out var key) ? file.Entries[key].Shape : null, (name, weight) => file.CopyTo(keys[name], weight));
        // fp16 of these networks saves nothing on the CPU and overflows in some files.
        var computing = compute with { Dtype = ScalarType.Float32, Storage = null };
        nn.Module<Tensor, Tensor> network;
        int scale;
        if (weights.Has("conv_first.weight"))
        {
            var rrdb = new RrdbNet(RrdbOf(weights), computing);
            (network, scale) = (rrdb, rrdb.Scale);
        }
        else if (weights.ShapeOf("body.0.weight") is { Length: 4 } first)
        {
            var last = keys.Keys.Select(key => BodyPlace().Match(key)).Where(match => match.Success).Max(match => int.Parse(match.Groups[1].Value));
            var outputs = weights.Shape($"body.{last}.weight")[0];
            var compact = new SrvggNet(first[0], (last - 2) / 2, (int)Math.Sqrt(outputs / 3), computing);
            (network, scale) = (compact, compact.Scale);
        }
        else throw new CheckpointException(path, "is no upscaler of the ESRGAN family: it has neither a first convolution nor a compact body. Use an ESRGAN, RealSR, BSRGAN or Real-ESRGAN file.");
        try
        {
            weights.Fill(network);
        }
        catch
        {
            network.Dispose();
            throw;
        }
        return new(network, scale, computing);
    }

    /// <summary>Enlarges pictures.</summary>
    /// <param name="pictures">[B, 3, H, W], 0..1, in the order of channels the file was trained with (blue first).</param>
    /// <returns>[B, 3, Scale·H, Scale·W], fp32, not clamped; the caller's scope owns it.</returns>
    public Tensor Enlarge(Tensor pictures)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return network.call(pictures.to(compute.Device).to(compute.Dtype)).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => network.Dispose();

    private static RrdbSpec RrdbOf(ComponentWeights weights)
    {
        var first = weights.Shape("conv_first.weight");
        return new(first[1], weights.Shape("conv_last.weight")[0], first[0], weights.Shape("body.0.rdb1.conv1.weight")[0],
            Count(i => $"body.{i}.rdb1.conv1.weight"), Count(i => $"conv_up.{i}.weight"), weights.Has("body.0.rdb1.conv1x1.weight"));

        int Count(Func<int, string> name)
        {
            var count = 0;
            while (weights.Has(name(count))) count++;
            return count;
        }
    }

    /// <summary>Our names (Real-ESRGAN's, with <c>conv_up.N</c>) and the file's.</summary>
    private static Dictionary<string, string> Keys(TensorFile file)
    {
        var bare = file.Entries.Keys.ToDictionary(key => key, key => key);
        foreach (var wrapper in Wrappers)
        {
            if (!bare.Keys.Any(key => key.StartsWith(wrapper, StringComparison.Ordinal))) continue;
            bare = bare.Where(pair => pair.Key.StartsWith(wrapper, StringComparison.Ordinal)).ToDictionary(pair => pair.Key[wrapper.Length..], pair => pair.Value);
            break;
        }
        foreach (var prefix in Prefixes)
            if (bare.Count > 0 && bare.Keys.All(key => key.StartsWith(prefix, StringComparison.Ordinal))) bare = bare.ToDictionary(pair => pair.Key[prefix.Length..], pair => pair.Value);

        // Old files number everything: blocks in 1.sub, doublings at every third place, the last two convolutions at the end.
        var places = bare.Keys.Select(key => OldPlace().Match(key)).Where(match => match.Success).Select(match => int.Parse(match.Groups[1].Value)).ToList();
        var last = places.Count > 0 ? places.Max() : 0;
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in bare) names[Name(key, last)] = value;
        return names;
    }

    private static string Name(string key, int last)
    {
        var old = OldPlace().Match(key);
        if (old.Success)
        {
            var place = int.Parse(old.Groups[1].Value);
            var part = old.Groups[2].Value;
            if (place == 0) return $"conv_first.{part}";
            if (place == last) return $"conv_last.{part}";
            if (place == last - 2) return $"conv_hr.{part}";
            return $"conv_up.{place / 3 - 1}.{part}";
        }
        key = OldTrunk().Replace(key, "conv_body.$1");
        key = OldBlock().Replace(key, match => $"body.{match.Groups[1].Value}.rdb{match.Groups[2].Value}.{match.Groups[3].Value}");
        return NumberedUp().Replace(key
            .Replace("RRDB_trunk.", "body.").Replace("trunk_conv.", "conv_body.").Replace("HRconv.", "conv_hr.").Replace(".RDB", ".rdb"),
            match => $"conv_up.{int.Parse(match.Groups[1].Value) - 1}.");
    }

    [GeneratedRegex(@"^model\.(\d+)\.(weight|bias)$")]
    private static partial Regex OldPlace();

    [GeneratedRegex(@"^model\.1\.sub\.\d+\.(weight|bias)$")]
    private static partial Regex OldTrunk();

    [GeneratedRegex(@"^model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\w+)(?:\.0)?(?=\.)")]
    private static partial Regex OldBlock();

    [GeneratedRegex(@"^(?:upconv|conv_up)(\d+)\.")]
    private static partial Regex NumberedUp();

    [GeneratedRegex(@"^body\.(\d+)\.weight$")]
    private static partial Regex BodyPlace();
}
