using System.Globalization;
using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Formats;
using Levain.Models;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Networks;

/// <summary>
/// A hypernetwork of the webui: for every width of tokens that attentions look at a pair of small networks f, one for keys and one for values; tokens x become
/// x + strength·f(x) before they are projected.
/// </summary>
/// <remarks>AUTOMATIC1111's webui, <c>modules/hypernetworks/hypernetwork.py</c>. Made for SD 1.x where it has 768, for SD 2.x where it has 1024.</remarks>
public sealed partial class Hypernetwork : IDisposable
{
    private const double NormEpsilon = 1e-5;
    private readonly Dictionary<long, (IReadOnlyList<Stage> Keys, IReadOnlyList<Stage> Values)> byWidth = [];
    private readonly List<Tensor> owned = [];

    // A linear layer with what follows it; weights are owned by the hypernetwork.
    private sealed record Stage(Tensor Weight, Tensor Bias, Func<Tensor, Tensor>? Activation, (Tensor Weight, Tensor Bias)? Norm);

    private Hypernetwork(string name) => Name = name;

    /// <summary>Its name: the file's own, or the file name.</summary>
    public string Name { get; }

    /// <summary>Widths of tokens it changes, ascending.</summary>
    public IEnumerable<long> Widths => byWidth.Keys.Order();

    /// <summary>Reads a <c>.pt</c> file.</summary>
    /// <param name="device">Where it computes.</param>
    /// <exception cref="CheckpointException">It is no hypernetwork, or one whose parts do not fit together.</exception>
    public static Hypernetwork Read(string path, Device? device = null)
    {
        using var file = TensorFile.Open(path);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var network = new Hypernetwork(file.Metadata.GetValueOrDefault("name", System.IO.Path.GetFileNameWithoutExtension(path)));
        var structure = Structure(file);
        var activation = Activation(file.Metadata.GetValueOrDefault("activation_func", "linear")) is { Known: true } found ? found.Of
            : throw new CheckpointException(path, $"is '{file.Metadata["activation_func"]}', which this version does not know.", "activation_func");
        var activatesLast = Flag("activate_output", whenMissing: true);
        var norms = Flag("is_layer_norm", whenMissing: false);
        var dropouts = Dropouts(file, structure.Count);
        foreach (var width in file.Entries.Keys.Select(key => key.Split('/')).Where(key => key.Length == 3).Select(key => key[0]).Distinct())
        {
            if (!long.TryParse(width, NumberStyles.None, CultureInfo.InvariantCulture, out var size) || size == 0) throw new CheckpointException(path, "is not a width of tokens: it is no hypernetwork.", width);
            network.byWidth[size] = (Stages($"{width}/0", size), Stages($"{width}/1", size));
        }
        if (network.byWidth.Count == 0) throw new CheckpointException(path, "holds no pair of networks by width of tokens (such as '768'): it is no hypernetwork.");
        return network;

        bool Flag(string name, bool whenMissing) => file.Metadata.TryGetValue(name, out var text) ? text == bool.TrueString : whenMissing;

        List<Stage> Stages(string root, long size)
        {
            var (stages, at) = (new List<Stage>(), 0);
            for (var i = 0; i + 1 < structure.Count; i++)
            {
                var (inputs, outputs) = ((long)(size * structure[i]), (long)(size * structure[i + 1]));
                var (weight, bias) = (Take(at, "weight", outputs, inputs), Take(at++, "bias", outputs));
                var acts = activation is not null && (i + 2 < structure.Count || activatesLast);
                if (acts) at++;
                (Tensor, Tensor)? norm = norms ? (Take(at, "weight", outputs), Take(at++, "bias", outputs)) : null;
                if (dropouts[i + 1]) at++;
                stages.Add(new(weight, bias, acts ? activation : null, norm));
            }
            return stages;

            Tensor Take(int place, string part, params long[] shape)
            {
                var name = $"{root}/linear.{place}.{part}";
                if (!file.Entries.ContainsKey(name)) name = OldName(name);
                if (!file.Entries.TryGetValue(name, out var entry)) throw new CheckpointException(path, "is missing: the hypernetwork's parts do not fit its layer_structure.", $"{root}/linear.{place}.{part}");
                if (!entry.Shape.SequenceEqual(shape)) throw new CheckpointException(path, $"is [{string.Join(", ", entry.Shape)}] where its layer_structure asks for [{string.Join(", ", shape)}].", name);
                var value = file.Load(name).to(ScalarType.Float32, device ?? CPU).DetachFromDisposeScope();
                network.owned.Add(value);
                return value;
            }
        }
    }

    /// <summary>Makes tokens into what keys (or values) are made of: x + strength·f(x), computed in fp32. The caller's scope owns the result.</summary>
    /// <param name="x">Tokens, [B, M, width].</param>
    /// <returns>New tokens; <paramref name="x"/> itself for a width that it does not change.</returns>
    public Tensor Apply(Tensor x, bool values, double strength)
    {
        if (!byWidth.TryGetValue(x.shape[^1], out var pair)) return x;
        using var scope = NewDisposeScope();
        var whole = x.to_type(ScalarType.Float32);
        var f = whole;
        foreach (var stage in values ? pair.Values : pair.Keys)
        {
            f = functional.linear(f, stage.Weight, stage.Bias);
            if (stage.Activation is { } activation) f = activation(f);
            if (stage.Norm is var (weight, bias)) f = functional.layer_norm(f, [f.shape[^1]], weight, bias, NormEpsilon);
        }
        return whole.add(f, strength).to_type(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Lets hypernetworks act on a U-Net, one after another, in place of those that did; none takes all off.</summary>
    public static void Attach(UNet unet, IReadOnlyList<(Hypernetwork Network, double Strength)> chain)
    {
        var patch = chain.Count == 0 ? null : new Chain(chain);
        foreach (var attention in unet.Attentions) attention.Context = patch;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in owned) tensor.Dispose();
    }

    private sealed class Chain(IReadOnlyList<(Hypernetwork Network, double Strength)> networks) : IContextPatch
    {
        public (Tensor Keys, Tensor Values) Change(Tensor context) => (Through(context, values: false), Through(context, values: true));

        private Tensor Through(Tensor x, bool values) => networks.Aggregate(x, (tokens, one) => one.Network.Apply(tokens, values, one.Strength));
    }

    private static List<double> Structure(TensorFile file)
    {
        var structure = new List<double>();
        while (file.Metadata.TryGetValue($"layer_structure/{structure.Count}", out var text) && PythonNumber.Float(text) is { } part) structure.Add(part);
        if (structure.Count == 0) return [1, 2, 1];
        if (structure.Count < 2 || structure[0] != 1 || structure[^1] != 1 || structure.Any(part => part <= 0))
            throw new CheckpointException(file.Path, $"is {string.Join(", ", structure)}; it begins and ends with 1.", "layer_structure");
        return structure;
    }

    // The oldest files say linear1 for linear.0.
    private static string OldName(string name) => OldPlace().Replace(name, match => $"/linear{int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) + 1}.");

    [GeneratedRegex(@"/linear\.(\d+)\.")]
    private static partial Regex OldPlace();

    // Dropout does nothing here, but it takes a number in the names of what follows.
    private static bool[] Dropouts(TensorFile file, int count)
    {
        var drops = new bool[count];
        var listed = file.Metadata.ContainsKey("dropout_structure/0");
        if (!listed && file.Metadata.GetValueOrDefault("use_dropout") != bool.TrueString) return drops;
        for (var i = 0; i < count; i++)
            drops[i] = listed ? file.Metadata.TryGetValue($"dropout_structure/{i}", out var text) && PythonNumber.Float(text) > 0
                : i > 0 && (i < count - 2 || (i == count - 2 && file.Metadata.GetValueOrDefault("last_layer_dropout") == bool.TrueString));
        return drops;
    }

    private static (bool Known, Func<Tensor, Tensor>? Of) Activation(string name)
    {
        const double RandomSlope = (1.0 / 8 + 1.0 / 3) / 2;      // rrelu's mean
        return name is "linear" ? (true, null) : Shape(name) is { } shape ? (true, shape) : (false, null);

        static Func<Tensor, Tensor>? Shape(string name) => name switch
        {
            "relu" => x => x.relu(),
            "leakyrelu" => x => functional.leaky_relu(x, 0.01),
            "rrelu" => x => functional.leaky_relu(x, RandomSlope),
            "elu" => x => functional.elu(x, 1),
            "swish" or "hardswish" => x => functional.hardswish(x),
            "tanh" => x => x.tanh(),
            "sigmoid" => x => x.sigmoid(),
            "celu" => x => functional.celu(x, 1),
            "gelu" => x => functional.gelu(x),
            "mish" => x => x * functional.softplus(x).tanh(),
            "relu6" => x => x.clamp(0, 6),
            "selu" => x => functional.selu(x),
            "silu" => x => functional.silu(x),
            "softplus" => x => functional.softplus(x),
            "softsign" => x => x / (x.abs() + 1),
            "tanhshrink" => x => x - x.tanh(),
            "logsigmoid" => x => -functional.softplus(-x),
            "hardtanh" => x => x.clamp(-1, 1),
            "hardsigmoid" => x => (x / 6 + 0.5).clamp(0, 1),
            _ => null,
        };
    }
}
