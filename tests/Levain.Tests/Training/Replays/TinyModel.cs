using System.Collections.Concurrent;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Replays;

/// <summary>The checkpoints of <c>tests/golden/training</c>, made once by their formula and written to a temporary folder.</summary>
internal static class TinyModel
{
    private static readonly ConcurrentDictionary<string, Lazy<string>> Written = new();

    /// <summary>The file of a model whose names and shapes are in <c>NAME.shapes.json</c>; where there is none, with those of a real SD 1.</summary>
    public static string Of(string name) => Written.GetOrAdd(name, model => new(() => Write(model))).Value;

    private static string Write(string name)
    {
        var folder = Directory.CreateTempSubdirectory("levain-model-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        using var scope = NewDisposeScope();
        var tensors = Shapes(name).AsParallel().AsOrdered().Select(entry => KeyValuePair.Create(entry.Key, Make(entry.Key, entry.Shape))).ToList();
        var path = System.IO.Path.Combine(folder, name + ".safetensors");
        Safetensors.Write(path, tensors, null);
        foreach (var (_, tensor) in tensors) tensor.Dispose();
        return path;
    }

    private static IEnumerable<(string Key, long[] Shape)> Shapes(string name)
    {
        var listed = Golden.Path("training", name + ".shapes.json");
        if (File.Exists(listed)) return Golden.Json("training", name + ".shapes.json").EnumerateObject().Select(entry => (entry.Name, GoldenTensors.Longs(entry.Value)));
        var real = Golden.Json("keys", "sd1.json");
        return new[] { "unet", "vae", "text" }.SelectMany(part => real.GetProperty(part).EnumerateArray())
            .Select(row => (row.GetProperty("ldm").GetString()!, GoldenTensors.Longs(row.GetProperty("shape"))));
    }

    private static Tensor Make(string key, long[] shape)
    {
        var weight = Synth.Weight(key, shape);
        // Two exceptions of the recordings' README, so that latents look like latents.
        if (key == "first_stage_model.quant_conv.weight") weight.narrow(0, 0, 4).mul_(4);
        if (key == "first_stage_model.quant_conv.bias") weight.narrow(0, 4, 4).sub_(6);
        return weight.DetachFromDisposeScope();
    }
}
