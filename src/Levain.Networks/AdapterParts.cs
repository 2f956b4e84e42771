using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>The tensors of one adapter as a file holds them: kohya's part names (<c>lora_down.weight</c>, <c>alpha</c>), whatever the file's own spelling.</summary>
/// <param name="path">The file, for messages.</param>
/// <param name="module">The file's own name of the layer, for messages.</param>
public sealed class AdapterParts(string path, string module)
{
    private readonly Dictionary<string, (string Key, long[] Shape, Func<Tensor> Load)> parts = [];

    /// <summary>The file's own name of the layer.</summary>
    public string Module => module;

    /// <summary>Part names that are there.</summary>
    public IReadOnlyCollection<string> Names => parts.Keys;

    internal void Add(string name, string key, long[] shape, Func<Tensor> load) => parts[name] = (key, shape, load);

    /// <summary>Whether all of these parts are there.</summary>
    public bool Has(params ReadOnlySpan<string> names)
    {
        foreach (var name in names) if (!parts.ContainsKey(name)) return false;
        return true;
    }

    /// <summary>Shape of a part.</summary>
    public long[] ShapeOf(string name) => parts[name].Shape;

    /// <summary>A part as stored; the caller's scope owns it.</summary>
    public Tensor Load(string name) => parts[name].Load();

    /// <summary>Rank and alpha; alpha is the rank where the file has none or 0, and scale × rank where it has a scale.</summary>
    public AdapterNumbers Numbers(int rank)
    {
        var alpha = Has("scale") ? Number("scale") * rank : Has("alpha") ? Number("alpha") : rank;
        return new(rank, alpha == 0 ? rank : alpha);
    }

    private double Number(string name)
    {
        using var scope = NewDisposeScope();
        return Load(name).to_type(ScalarType.Float64).reshape(-1)[0].item<double>();
    }

    /// <summary>Hands <paramref name="adapter"/> back if every tensor of the file has the shape the layer asks for, up to sides of 1.</summary>
    /// <exception cref="CheckpointException">One has not.</exception>
    public Adapter Sized(Adapter adapter)
    {
        foreach (var parameter in adapter.Parameters)
        {
            if (!parts.TryGetValue(parameter.Name, out var part)) continue;
            if (!Significant(part.Shape).SequenceEqual(Significant(parameter.Shape)))
                throw new CheckpointException(path, $"is [{string.Join(", ", part.Shape)}], but the layer {adapter.Site.Layer.Key} of this base asks for "
                    + $"[{string.Join(", ", parameter.Shape)}]: the network was made for another kind of base model.", part.Key);
        }
        return adapter;
    }

    /// <summary>Copies a part, converting its type; sides of 1 may differ (SD 2's projections are linear or 1×1 convolutions).</summary>
    public void CopyTo(string name, Tensor destination)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        destination.copy_(Load(name).reshape(destination.shape));
    }

    private static IEnumerable<long> Significant(IEnumerable<long> shape) => shape.Where(side => side != 1);
}
