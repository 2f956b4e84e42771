using System.Globalization;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>The tensors of one adapter as a file holds them: kohya's part names (<c>lora_down.weight</c>, <c>alpha</c>), whatever the file's own spelling.</summary>
/// <param name="path">The file, for messages.</param>
/// <param name="module">The file's own name of the layer, for messages.</param>
public sealed class AdapterParts(string path, string module)
{
    private readonly Dictionary<string, (string Key, long[] Shape, Func<Tensor> Load)> parts = [];

    /// <summary>The file, for messages.</summary>
    public string Path => path;

    /// <summary>The file's own name of the layer.</summary>
    public string Module => module;

    /// <summary>What a file does not say about how an adapter is built.</summary>
    internal AdapterForm Form { get; init; } = new();

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
    public AdapterNumbers Numbers(long rank)
    {
        var alpha = Has("scale") ? Number("scale") * rank : Has("alpha") ? Number("alpha") : rank;
        return new(rank, alpha == 0 ? rank : alpha) { Form = Form };
    }

    /// <summary>A part of one number.</summary>
    public double Number(string name)
    {
        using var scope = NewDisposeScope();
        return Load(name).to_type(ScalarType.Float64).reshape(-1)[0].item<double>();
    }

    /// <summary>
    /// A part of one number that somebody once wrote down: of an fp16 number the shortest decimal that it stands for. A constraint of 0.01 is
    /// 0.010002 in fp16, and training went by 0.01.
    /// </summary>
    public double WrittenNumber(string name)
    {
        using var scope = NewDisposeScope();
        var value = Load(name).reshape(-1)[0];
        return value.dtype == ScalarType.Float16
            ? double.Parse(value.item<Half>().ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : value.to_type(ScalarType.Float64).item<double>();
    }

    /// <summary>Hands <paramref name="adapter"/> back if every tensor of the file has the shape the layer asks for, up to sides of 1.</summary>
    /// <exception cref="CheckpointException">One has not.</exception>
    public Adapter Sized(Adapter adapter)
    {
        foreach (var parameter in adapter.Parameters)
        {
            if (parts.ContainsKey(parameter.Name)) Expect(adapter.Site, parameter.Name, parameter.Shape);
        }
        return adapter;
    }

    /// <summary>Sees to it that a part has the shape the layer asks for, up to sides of 1.</summary>
    /// <exception cref="CheckpointException">It has not.</exception>
    public void Expect(AdapterSite site, string name, IReadOnlyList<long> shape)
    {
        var part = parts[name];
        if (!Significant(part.Shape).SequenceEqual(Significant(shape)))
            throw new CheckpointException(path, $"is [{string.Join(", ", part.Shape)}], but the layer {site.Layer.Key} of this base asks for "
                + $"[{string.Join(", ", shape)}]: the network was made for another kind of base model.", part.Key);
    }

    /// <summary>Copies a part, converting its type; sides of 1 may differ (SD 2's projections are linear or 1×1 convolutions).</summary>
    public void CopyTo(string name, Tensor destination)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        destination.copy_(Load(name).reshape(destination.shape));
    }

    /// <summary>As <see cref="CopyTo"/>, but adds to what is there.</summary>
    public void AddTo(string name, Tensor destination)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        destination.add_(Load(name).reshape(destination.shape).to_type(destination.dtype));
    }

    private static IEnumerable<long> Significant(IEnumerable<long> shape) => shape.Where(side => side != 1);
}
