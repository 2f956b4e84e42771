using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>The tensors of a whole SD 1.x model that is to be written: its parts by their internal names, and the base they come from.</summary>
/// <param name="Base">File or folder of the base: gives what is not a weight of these parts.</param>
/// <param name="UNet">The U-Net's tensors.</param>
/// <param name="TextEncoder">The text encoder's.</param>
/// <param name="Vae">The autoencoder's.</param>
public sealed record ModelTensors(string Base, IReadOnlyList<KeyValuePair<string, Tensor>> UNet, IReadOnlyList<KeyValuePair<string, Tensor>> TextEncoder, IReadOnlyList<KeyValuePair<string, Tensor>> Vae)
{
    /// <summary>A part's tensors.</summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Of(ModelPart part) => part switch
    {
        ModelPart.UNet => UNet,
        ModelPart.TextEncoder => TextEncoder,
        ModelPart.Vae => Vae,
        _ => [],
    };

    /// <summary>The model under the names of a single file, as LDM's trainer wrote it. What else a single-file base holds (schedules, averages) stays as it is.</summary>
    /// <param name="file">The base, where it is a single file; stays open while the tensors are used. Null: there is nothing else.</param>
    /// <param name="dtype">Type of the parts' tensors; null leaves them as they are.</param>
    /// <returns>New tensors and views; the caller's scope owns them.</returns>
    /// <exception cref="CheckpointException">The base is damaged.</exception>
    public IReadOnlyList<KeyValuePair<string, Tensor>> ToSingleFile(TensorFile? file, ScalarType? dtype)
    {
        using var frozen = no_grad();
        var tensors = new OrderedDictionary<string, Tensor>();
        foreach (var key in file?.Entries.Keys ?? []) tensors[FullTextKey(key)] = file!.View(key);
        foreach (var part in new[] { ModelPart.UNet, ModelPart.TextEncoder, ModelPart.Vae })
            foreach (var (name, value) in Of(part))
            {
                if (KeyMap.Sd1.ToSingleFile(part, name) is not var (key, transform, _)) throw new CheckpointException(Base, "has no name in a single file.", name);
                var saved = value.detach().to(dtype ?? value.dtype);
                tensors[key] = transform is KeyTransform.Squeeze && saved.dim() == 2 ? saved.unsqueeze(-1).unsqueeze(-1) : saved;
            }
        return [.. tensors];
    }

    // Some old files leave out a level of the text encoder's names.
    private static string FullTextKey(string key)
    {
        const string root = "cond_stage_model.transformer.";
        if (!key.StartsWith(root, StringComparison.Ordinal)) return key;
        var rest = key[root.Length..];
        return rest.StartsWith("embeddings.", StringComparison.Ordinal) || rest.StartsWith("encoder.", StringComparison.Ordinal) || rest.StartsWith("final_layer_norm.", StringComparison.Ordinal) ? $"{root}text_model.{rest}" : key;
    }
}
