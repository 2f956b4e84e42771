using Levain.Core;
using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A base model ready to compute: U-Net, autoencoder and text encoder of one checkpoint. Parts are read from the file when they are first asked for.</summary>
public sealed class StableDiffusion : IDisposable
{
    private readonly CheckpointSource source;
    private readonly InitialDraws draws;
    private readonly bool trainable;
    private UNet? unet;
    private Vae? vae;
    private ClipTextModel? textEncoder;

    private StableDiffusion(CheckpointSource source, Compute compute, string? vaePath, bool trainable)
    {
        this.source = source;
        this.trainable = trainable;
        Compute = compute;
        draws = new(source, vaePath);
    }

    /// <summary>Opens an SD 1.x base model: a single file or a diffusers folder.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="compute">Where and how to compute.</param>
    /// <param name="vaePath">A VAE to use in place of the model's own; null keeps its own.</param>
    /// <param name="trainable">Whether its own weights will be trained: they are then kept as wide as they are computed with, also where memory is scarce.</param>
    /// <exception cref="CheckpointException">The file is damaged or is not an SD 1.x base model.</exception>
    public static StableDiffusion Open(string path, Compute compute, string? vaePath = null, bool trainable = false) =>
        Opened(CheckpointSource.Open(path, vaePath), compute, vaePath, trainable);

    // In bf16 a model this narrow spends more on starting operations than it gains in them: 32 to 64 channels take twice as long.
    private const long Narrow = 128;

    private static StableDiffusion Opened(CheckpointSource source, Compute compute, string? vaePath, bool trainable)
    {
        const string First = "conv_in.weight";
        var narrow = source.Has(ModelPart.UNet, First) && source.ShapeOf(ModelPart.UNet, First)[0] < Narrow;
        return new(source, compute is { ChosenByMachine: true, Device.type: TorchSharp.DeviceType.CPU } && narrow ? compute with { Dtype = ScalarType.Float32 } : compute, vaePath, trainable);
    }

    /// <summary>Where and how it computes.</summary>
    public Compute Compute { get; }

    /// <summary>What kind of model the file is.</summary>
    public ModelKind Kind => source.Kind;

    /// <summary>What the U-Net predicts, as far as the file says.</summary>
    public PredictionHint Prediction => Kind.Prediction;

    /// <summary>Random numbers that kohya's trainer consumes by loading this model, see <see cref="Models.InitialDraws"/>.</summary>
    public long InitialDraws => draws.Count;

    /// <summary>The denoising network.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, damaged or of an unexpected shape.</exception>
    public UNet UNet => unet ??= Filled(ModelPart.UNet, weights => new UNet(SpecOf(weights), UNetCompute));

    /// <summary>The numbers the denoising network is built from; its weights are not read for them.</summary>
    /// <exception cref="CheckpointException">A tensor that tells them is missing.</exception>
    public UNetSpec UNetSpec => unet?.Spec ?? SpecOf(ComponentWeights.Of(source, ModelPart.UNet));

    /// <summary>Bytes that the weights of parts not read yet take once they are.</summary>
    public long UnreadBytes => (unet is null ? Bytes(ModelPart.UNet, UNetCompute) : 0) + (vae is null ? Bytes(ModelPart.Vae, VaeCompute) : 0) + (textEncoder is null ? Bytes(ModelPart.TextEncoder, TextEncoderCompute) : 0);

    /// <summary>The autoencoder; see <see cref="ReleaseVae"/>.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, damaged or of an unexpected shape.</exception>
    public Vae Vae => vae ??= Filled(ModelPart.Vae, weights => new Vae(VaeSpec.Sd1.SizedBy(weights), VaeCompute));

    /// <summary>The text encoder.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, damaged or of an unexpected shape.</exception>
    public ClipTextModel TextEncoder => textEncoder ??= Filled(ModelPart.TextEncoder, weights => new ClipTextModel(ClipTextSpec.ClipL.SizedBy(weights), TextEncoderCompute));

    /// <summary>Frees the autoencoder's memory, once latents are cached; it is read again when it is needed again.</summary>
    public void ReleaseVae()
    {
        vae?.Dispose();
        vae = null;
        Allocator.Trim();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        unet?.Dispose();
        vae?.Dispose();
        textEncoder?.Dispose();
        source.Dispose();
    }

    // fp16 overflows inside the autoencoder of SD 1.
    private Compute VaeCompute => Compute.Dtype == ScalarType.Float16 ? Compute with { Dtype = ScalarType.Float32 } : Compute;

    // Lean keeps the weights as narrow as the file has them and widens each for the moment of its use: the numbers are the same.
    private Compute Stored(ModelPart part, string sample) =>
        !trainable && Compute is { Memory: MemoryPolicy.Lean, Dtype: ScalarType.Float32 } && source.Has(part, sample) && source.DtypeOf(part, sample) is ScalarType.Float16 or ScalarType.BFloat16 ? Compute with { Storage = source.DtypeOf(part, sample) } : Compute;

    private Compute UNetCompute => Stored(ModelPart.UNet, "conv_in.weight");

    private Compute TextEncoderCompute => Stored(ModelPart.TextEncoder, "text_model.embeddings.token_embedding.weight");

    private static UNetSpec SpecOf(ComponentWeights weights) => UNetSpec.Sd1.SizedBy(weights);

    private long Bytes(ModelPart part, Compute kept) => source.Names(part).Sum(name => source.ShapeOf(part, name).Aggregate(1L, (count, side) => count * side)) * ((kept.Storage ?? kept.Dtype) == ScalarType.Float32 ? sizeof(float) : sizeof(ushort));

    private T Filled<T>(ModelPart part, Func<ComponentWeights, T> create) where T : nn.Module
    {
        var weights = ComponentWeights.Of(source, part);
        var module = create(weights);
        try
        {
            weights.Fill(module);
            return module;
        }
        catch
        {
            module.Dispose();
            throw;
        }
    }
}
