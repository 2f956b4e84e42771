using Levain.Formats;
using Levain.Training.Metadata;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Writes a trained word: kohya's <c>emb_params</c>, the webui's <c>.pt</c> or diffusers' <c>.bin</c>.</summary>
internal sealed class EmbeddingWriter(RunPlan plan, TrainedEmbedding trained, TimeProvider clock) : IResultWriter
{
    private const string Kohyas = "emb_params", WebuisToken = "*";
    private const int WebuisTokenId = 265;

    /// <inheritdoc/>
    public void Write(NetworkSave save, int step, int epoch)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (settings, word) = (plan.Settings, plan.Settings.Embedding);
        var vectors = trained.Vectors.detach().to(settings.Output.Precision.ToDtype() ?? ScalarType.Float32, CPU, copy: true);
        var format = settings.Output.FormatOf(settings.Trains);
        if (format is ResultFormat.Safetensors)
        {
            var spec = LoraMetadata.Spec(settings, (clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds) with { Lora = false, TextualInversion = true };
            Safetensors.Write(save.Path, [new(Kohyas, vectors)], spec.Build());
        }
        else if (format is ResultFormat.Bin) PickleWriter.Write(save.Path, (KeyValuePair<string, Tensor>[])[new(word.Token!, word.Vectors == 1 ? vectors[0] : vectors)]);
        else if (settings.Compatibility is Compatibility.Kohya) PickleWriter.Write(save.Path, (KeyValuePair<string, Tensor>[])[new(Kohyas, vectors)]);
        else
            PickleWriter.Write(save.Path, (KeyValuePair<object, object?>[])
            [
                new("string_to_token", (KeyValuePair<object, object?>[])[new(WebuisToken, WebuisTokenId)]), new("string_to_param", (KeyValuePair<string, Tensor>[])[new(WebuisToken, vectors)]),
                new("name", word.Token), new("step", step), new("sd_checkpoint", null), new("sd_checkpoint_name", Path.GetFileNameWithoutExtension(settings.Model.Base)),
            ]);
    }

    /// <inheritdoc/>
    public void Dispose() { }
}
