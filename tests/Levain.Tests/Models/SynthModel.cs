using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>Synthetic weights of the golden models: a shape per single-file key, values by the READMEs' formula.</summary>
internal static class SynthModel
{
    /// <summary>A component's weights by internal name.</summary>
    /// <param name="shapes">Index below <c>tests/golden</c> that holds the model's single-file shapes: [path…].</param>
    /// <param name="family">sd1, sd2 or sdxl: whose key table translates.</param>
    /// <param name="part">unet, vae or text.</param>
    /// <param name="model">Property of the index, where it holds several models.</param>
    /// <param name="change">Changes a tensor after it is made; by single-file key.</param>
    public static ComponentWeights Component(string[] shapes, string family, string part, string? model = null, Action<string, Tensor>? change = null)
    {
        var index = Golden.Json(shapes);
        if (model is not null) index = index.GetProperty(model);
        var known = index.EnumerateObject().ToDictionary(entry => entry.Name, entry => GoldenTensors.Longs(entry.Value));
        var rows = Golden.Json("keys", $"{family}.json").GetProperty(part).EnumerateArray()
            .Where(row => row.GetProperty("transform").GetString() is "none" or "squeeze" && known.ContainsKey(row.GetProperty("ldm").GetString()!))
            .ToDictionary(row => row.GetProperty("diffusers").GetString()!, row => (Key: row.GetProperty("ldm").GetString()!, Squeezed: row.GetProperty("transform").GetString() == "squeeze"));

        return new(model ?? shapes[^1], ShapeOf, CopyTo);

        long[]? ShapeOf(string name) => rows.TryGetValue(name, out var row) ? row.Squeezed ? known[row.Key][..2] : known[row.Key] : null;

        void CopyTo(string name, Tensor destination)
        {
            using var scope = NewDisposeScope();
            var (key, _) = rows[name];
            var value = Synth.Weight(key, known[key]);
            change?.Invoke(key, value);
            destination.copy_(value.view(destination.shape));
        }
    }

    /// <summary>Shapes of a real SD1: the same key table, its own shapes.</summary>
    public static ComponentWeights Real(string family, string part, Action<string, Tensor>? change = null)
    {
        var rows = Golden.Json("keys", $"{family}.json").GetProperty(part).EnumerateArray()
            .Where(row => row.GetProperty("transform").GetString() is "none" or "squeeze")
            .ToDictionary(row => row.GetProperty("diffusers").GetString()!, row => (Key: row.GetProperty("ldm").GetString()!, Shape: GoldenTensors.Longs(row.GetProperty("shape")), Squeezed: row.GetProperty("transform").GetString() == "squeeze"));
        return new($"{family}.json", name => rows.TryGetValue(name, out var row) ? row.Squeezed ? row.Shape[..2] : row.Shape : null, CopyTo);

        void CopyTo(string name, Tensor destination)
        {
            using var scope = NewDisposeScope();
            var value = Synth.Weight(rows[name].Key, rows[name].Shape);
            change?.Invoke(rows[name].Key, value);
            destination.copy_(value.view(destination.shape));
        }
    }
}
