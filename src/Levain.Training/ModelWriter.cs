using System.Globalization;
using Levain.Formats;
using Levain.Models;
using Levain.Training.Metadata;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Writes a trained base: a single file with LDM's names, or a folder in diffusers' layout.</summary>
/// <remarks>kohya-ss/sd-scripts <c>library/model_util.py</c>: what the base's file holds beside U-Net, text encoder and VAE is written again as it was.</remarks>
internal sealed class ModelWriter(RunPlan plan, TrainedModel trained, TimeProvider clock) : IResultWriter
{
    /// <inheritdoc/>
    public void Write(NetworkSave save, int step, int epoch)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (settings, origin) = (plan.Settings, plan.Settings.Model.Base!);
        using var source = CheckpointSource.Open(origin, settings.Model.Vae);
        var model = new ModelTensors(origin, [.. trained.TensorsOf(ModelPart.UNet)], [.. trained.TensorsOf(ModelPart.TextEncoder)],
            [.. source.Names(ModelPart.Vae).Select(name => KeyValuePair.Create(name, source.View(ModelPart.Vae, name).to_type(ScalarType.Float32)))]);
        var dtype = settings.Output.Precision.ToDtype() ?? ScalarType.Float32;
        var format = settings.Output.FormatOf(settings.Trains);
        if (format is ResultFormat.Diffusers or ResultFormat.DiffusersBin)
        {
            // kohya writes folders in 32 bits, whatever is asked for.
            DiffusersWriter.Write(save.Path, settings.Compatibility is Compatibility.Kohya ? model : In(model, dtype), settings.Model.VParameterization, format is ResultFormat.DiffusersBin);
            return;
        }
        using var file = Directory.Exists(origin) ? null : TensorFile.Open(origin);
        var tensors = model.ToSingleFile(file, dtype);
        if (format is ResultFormat.Ckpt)
        {
            if (settings.Compat.ZeroBasedStepEpoch && save.Reason is not SaveReason.Epoch) epoch--;
            int Before(string name) => file is { Format: not "safetensors" } && int.TryParse(file.Metadata.GetValueOrDefault(name), CultureInfo.InvariantCulture, out var before) ? before : 0;
            PickleWriter.Write(save.Path, (KeyValuePair<object, object?>[])[new("state_dict", tensors), new("epoch", epoch + Before("epoch")), new("global_step", step + Before("global_step"))]);
        }
        else Safetensors.Write(save.Path, tensors, Metadata());
    }

    /// <inheritdoc/>
    public void Dispose() { }

    private OrderedDictionary<string, string> Metadata() =>
        (LoraMetadata.Spec(plan.Settings, (clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds) with { Lora = false }).Build();

    private static ModelTensors In(ModelTensors model, ScalarType dtype)
    {
        IReadOnlyList<KeyValuePair<string, Tensor>> cast(IReadOnlyList<KeyValuePair<string, Tensor>> tensors) => [.. tensors.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.to_type(dtype)))];
        return new(model.Base, cast(model.UNet), cast(model.TextEncoder), cast(model.Vae));
    }
}
