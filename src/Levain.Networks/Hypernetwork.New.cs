using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>How a hypernetwork's weights begin; biases are 0.</summary>
public enum HypernetworkStart
{
    /// <summary>N(0, 0.01), the webui's own.</summary>
    Normal,

    /// <summary>Glorot and Bengio 2010, uniform.</summary>
    XavierUniform,

    /// <summary>Glorot and Bengio 2010, normal.</summary>
    XavierNormal,

    /// <summary>He et al. 2015, uniform.</summary>
    KaimingUniform,

    /// <summary>He et al. 2015, normal.</summary>
    KaimingNormal,
}

/// <summary>What a new hypernetwork is like.</summary>
/// <param name="Widths">Widths of tokens it changes.</param>
/// <param name="LayerStructure">Widths of f from its input to its output, in multiples of the tokens'; first and last are 1.</param>
/// <param name="Activation">Between its layers: <c>linear</c> for none, <c>relu</c>, <c>swish</c>, ….</param>
/// <param name="LayerNorm">Whether a norm follows every layer.</param>
/// <param name="Start">How its weights begin.</param>
public sealed record HypernetworkOptions(IReadOnlyList<long> Widths, IReadOnlyList<double> LayerStructure, string Activation, bool LayerNorm, HypernetworkStart Start);

/// <summary>One trained tensor of a hypernetwork.</summary>
/// <param name="Name">Its place in files: width, 0 for keys or 1 for values, name: <c>768/0/linear.0.weight</c>.</param>
/// <param name="Start">First element in the flat buffer.</param>
/// <param name="Shape">Its shape.</param>
public sealed record HypernetworkTensor(string Name, long Start, long[] Shape)
{
    /// <summary>Number of elements.</summary>
    public long Length => Shape.Aggregate(1L, (product, side) => product * side);
}

public sealed partial class Hypernetwork
{
    private HypernetworkOptions? options;

    /// <summary>All numbers of a new hypernetwork, fp32, one dimension: width by width, keys before values; null for one that was read.</summary>
    public Tensor? Values { get; private set; }

    /// <summary>Gradients of <see cref="Values"/>.</summary>
    public Tensor? Gradients { get; private set; }

    /// <summary>The tensors in <see cref="Values"/>, in order; empty for one that was read.</summary>
    public IReadOnlyList<HypernetworkTensor> Tensors { get; private set; } = [];

    /// <summary>Whether an activation is known by this name.</summary>
    public static bool KnowsActivation(string name) => Activation(name).Known;

    /// <summary>Numbers that a new one has.</summary>
    public static long Length(HypernetworkOptions options) => Layout(options) is [.., var last] ? last.Start + last.Length : 0;

    /// <summary>A new hypernetwork, ready to be trained.</summary>
    /// <param name="generator">Its weights are drawn from it.</param>
    /// <param name="device">Where it computes.</param>
    public static Hypernetwork Create(string name, HypernetworkOptions options, Generator generator, Device device)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var network = new Hypernetwork(name) { options = options, Tensors = Layout(options) };
        var values = zeros(Length(options));
        foreach (var tensor in network.Tensors.Where(tensor => tensor.Name.EndsWith(".weight", StringComparison.Ordinal)))
            Begin(values.narrow(0, tensor.Start, tensor.Length).view(tensor.Shape), options.Start, generator);
        network.Values = values.to(device).DetachFromDisposeScope();
        network.Gradients = zeros_like(network.Values).DetachFromDisposeScope();
        network.owned.AddRange([network.Values, network.Gradients]);

        var leaves = network.Tensors.ToDictionary(tensor => tensor.Name, tensor =>
        {
            var leaf = View(network.Values, tensor).detach().DetachFromDisposeScope();
            leaf.requires_grad_(true);
            leaf.grad = View(network.Gradients, tensor);
            network.owned.Add(leaf);
            return leaf;
        });
        var activation = Activation(options.Activation).Of;
        foreach (var width in options.Widths) network.byWidth[width] = (Stages($"{width}/0"), Stages($"{width}/1"));
        return network;

        List<Stage> Stages(string root) => [.. Places(options).Select(place => new Stage(leaves[$"{root}/linear.{place.Linear}.weight"], leaves[$"{root}/linear.{place.Linear}.bias"], place.Acts ? activation : null,
            place.Norm is { } norm ? (leaves[$"{root}/linear.{norm}.weight"], leaves[$"{root}/linear.{norm}.bias"]) : null))];
    }

    /// <summary>Takes over the numbers of a file.</summary>
    /// <exception cref="Core.CheckpointException">It is not of this structure.</exception>
    public void Fill(TensorFile file)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        foreach (var tensor in Tensors)
        {
            var name = file.Entries.ContainsKey(tensor.Name) ? tensor.Name : OldName(tensor.Name);
            if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(tensor.Shape)) throw new Core.CheckpointException(file.Path, "is not there in this shape: the hypernetwork has another structure than the one that is trained.", tensor.Name);
            View(Values!, tensor).copy_(file.Load(name));
        }
    }

    /// <summary>Writes a new hypernetwork as the webui's <c>.pt</c>.</summary>
    /// <param name="step">Steps it was trained.</param>
    /// <param name="checkpoint">Name of the base and the first ten digits of its sha256; null where they are not known.</param>
    /// <param name="dtype">Type of its numbers.</param>
    public void Write(string path, int step, (string Name, string Hash)? checkpoint, ScalarType dtype = ScalarType.Float32)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var own = options ?? throw new InvalidOperationException("Only a hypernetwork that was made here is written.");
        object? module(string root) => Tensors.Where(tensor => tensor.Name.StartsWith(root + "/", StringComparison.Ordinal)).Select(tensor => KeyValuePair.Create(tensor.Name[(root.Length + 1)..], View(Values!, tensor).to(dtype, CPU, copy: true))).ToList();
        PickleWriter.Write(path, (KeyValuePair<object, object?>[])
        [
            .. own.Widths.Select(width => KeyValuePair.Create<object, object?>(width, new[] { module($"{width}/0"), module($"{width}/1") })),
            new("step", step), new("name", Name), new("layer_structure", own.LayerStructure.Select(part => part == Math.Floor(part) ? (object)(long)part : part).ToArray()), new("activation_func", own.Activation),
            new("is_layer_norm", own.LayerNorm), new("weight_initialization", own.Start.ToString()), new("activate_output", false), new("use_dropout", false), new("last_layer_dropout", false), new("dropout_structure", null),
            new("sd_checkpoint", checkpoint?.Hash), new("sd_checkpoint_name", checkpoint?.Name), new("optional_info", null),
        ]);
    }

    private static Tensor View(Tensor flat, HypernetworkTensor tensor) => flat.narrow(0, tensor.Start, tensor.Length).view(tensor.Shape);

    // Numbers in names count everything in the sequence: activations and norms too.
    private static IEnumerable<(int Linear, bool Acts, int? Norm)> Places(HypernetworkOptions options)
    {
        var at = 0;
        for (var i = 0; i + 1 < options.LayerStructure.Count; i++)
        {
            var (linear, acts) = (at++, options.Activation != "linear" && i + 2 < options.LayerStructure.Count);
            if (acts) at++;
            yield return (linear, acts, options.LayerNorm ? at++ : null);
        }
    }

    private static List<HypernetworkTensor> Layout(HypernetworkOptions options)
    {
        var (tensors, position) = (new List<HypernetworkTensor>(), 0L);
        foreach (var width in options.Widths)
            foreach (var side in (int[])[0, 1])
            {
                var i = 0;
                foreach (var place in Places(options))
                {
                    var (inputs, outputs) = ((long)(width * options.LayerStructure[i]), (long)(width * options.LayerStructure[++i]));
                    Add($"{width}/{side}/linear.{place.Linear}.weight", outputs, inputs);
                    Add($"{width}/{side}/linear.{place.Linear}.bias", outputs);
                    if (place.Norm is not { } norm) continue;
                    Add($"{width}/{side}/linear.{norm}.weight", outputs);
                    Add($"{width}/{side}/linear.{norm}.bias", outputs);
                }
            }
        return tensors;

        void Add(string name, params long[] shape)
        {
            tensors.Add(new(name, position, shape));
            position += tensors[^1].Length;
        }
    }

    // The webui begins norms like weights of one dimension: N(0, 0.01), whatever the choice.
    private static void Begin(Tensor weight, HypernetworkStart start, Generator generator)
    {
        const double deviation = 0.01;
        if (weight.dim() < 2 || start is HypernetworkStart.Normal)
        {
            weight.normal_(0, deviation, generator);
            return;
        }
        var (inputs, outputs) = (weight.shape[1], weight.shape[0]);
        var variance = start is HypernetworkStart.XavierUniform or HypernetworkStart.XavierNormal ? 2.0 / (inputs + outputs) : 2.0 / inputs;
        if (start is HypernetworkStart.XavierNormal or HypernetworkStart.KaimingNormal) weight.normal_(0, Math.Sqrt(variance), generator);
        else weight.uniform_(-Math.Sqrt(3 * variance), Math.Sqrt(3 * variance), generator);
    }
}
