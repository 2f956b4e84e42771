using System.Text.Json;
using Levain.Core;

namespace Levain.Models;

/// <summary>Finds the weight files of a diffusers folder: <c>unet/</c>, <c>vae/</c>, <c>text_encoder/</c>, in one piece or in shards.</summary>
internal sealed class DiffusersFolder
{
    // Names that diffusers and transformers write; safetensors before pickles, full precision before the fp16 variant.
    private static readonly string[] Stems = ["diffusion_pytorch_model", "model", "pytorch_model"];
    private static readonly string[] Endings = [".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin"];

    private static readonly (ModelPart Part, string Folder)[] Folders =
        [(ModelPart.UNet, "unet"), (ModelPart.Vae, "vae"), (ModelPart.TextEncoder, "text_encoder"), (ModelPart.TextEncoder2, "text_encoder_2")];

    private readonly string path;

    public DiffusersFolder(string path)
    {
        this.path = path;
        Parts = [.. from known in Folders
                    let folder = Path.Combine(path, known.Folder)
                    where Directory.Exists(folder)
                    select (known.Part, Weights(folder))];
        if (!Parts.Any(part => part.Part == ModelPart.UNet))
            throw new CheckpointException(path, "is a folder without 'unet', so no diffusers model. Name the checkpoint file itself, or the folder that holds model_index.json.");
    }

    /// <summary>The parts there are and their files.</summary>
    public IReadOnlyList<(ModelPart Part, IReadOnlyList<string> Files)> Parts { get; }

    /// <summary>What the scheduler's settings say, in modelspec's words.</summary>
    public IReadOnlyDictionary<string, string> Metadata
    {
        get
        {
            var prediction = Text(Path.Combine(path, "scheduler", "scheduler_config.json"), "prediction_type");
            return prediction is null ? new Dictionary<string, string>() : new() { ["modelspec.prediction_type"] = prediction == "v_prediction" ? "v" : prediction };
        }
    }

    /// <summary>The files of a VAE folder, or of the VAE inside a whole model's folder.</summary>
    public static IReadOnlyList<string> VaeFiles(string path) => Weights(Directory.Exists(Path.Combine(path, "vae")) ? Path.Combine(path, "vae") : path);

    private static IReadOnlyList<string> Weights(string folder)
    {
        foreach (var ending in Endings)
        {
            foreach (var stem in Stems)
            {
                var whole = Path.Combine(folder, stem + ending);
                if (File.Exists(whole)) return [whole];
                var index = Path.Combine(folder, $"{stem}{ending}.index.json");
                if (File.Exists(index)) return Shards(index);
            }
        }
        throw new CheckpointException(folder, "is a folder without weights: diffusion_pytorch_model.safetensors, model.safetensors or a .bin of these names.");
    }

    private static List<string> Shards(string index)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(index));
            var names = json.RootElement.GetProperty("weight_map").EnumerateObject().Select(pair => pair.Value.GetString()!).Distinct().ToList();
            if (names.Find(name => name != Path.GetFileName(name)) is { } odd) throw new CheckpointException(index, $"names a file outside its folder: '{odd}'.");
            return [.. names.Select(name => Path.Combine(Path.GetDirectoryName(index)!, name))];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new CheckpointException(index, "is not an index of shards: a JSON object with 'weight_map' is expected.", cause: e);
        }
    }

    private static string? Text(string file, string key)
    {
        if (!File.Exists(file)) return null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            return json.RootElement.TryGetProperty(key, out var value) ? value.GetString() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException(file, "is not a JSON object.", cause: e);
        }
    }
}
