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
    private readonly HashSet<ModelPart> wide = [];
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

    // Numbers from which on a matrix is worth staying in the file: smaller ones hold 1 % of the memory and would cost an operation each.
    private const long Large = 1 << 18;

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
    public UNet UNet => unet ??= Filled(ModelPart.UNet, (weights, stored) => new UNet(SpecOf(weights), stored));

    /// <summary>The numbers the denoising network is built from; its weights are not read for them.</summary>
    /// <exception cref="CheckpointException">A tensor that tells them is missing.</exception>
    public UNetSpec UNetSpec => unet?.Spec ?? SpecOf(ComponentWeights.Of(source, ModelPart.UNet));

    /// <summary>Bytes that the weights of parts not read yet take once they are, beside the file's own pages.</summary>
    public long UnreadBytes => (unet is null ? Bytes(ModelPart.UNet) : 0) + (vae is null ? Bytes(ModelPart.Vae) : 0) + (textEncoder is null ? Bytes(ModelPart.TextEncoder) : 0);

    /// <summary>The autoencoder; see <see cref="ReleaseVae"/>.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, damaged or of an unexpected shape.</exception>
    public Vae Vae => vae ??= Filled(ModelPart.Vae, (weights, stored) => new Vae(VaeSpec.Sd1.SizedBy(weights), stored));

    /// <summary>The text encoder.</summary>
    /// <exception cref="CheckpointException">A tensor is missing, damaged or of an unexpected shape.</exception>
    public ClipTextModel TextEncoder => textEncoder ??= Filled(ModelPart.TextEncoder, (weights, stored) => new ClipTextModel(ClipTextSpec.ClipL.SizedBy(weights), stored));

    /// <summary>
    /// Keeps the weights of a part from now on as wide as they are computed with, unless memory is to be spent leanly. Without that, where the file has
    /// them in 16 bits, large ones stay there and are widened at each use: the same numbers, in 2 % more time for a pass.
    /// </summary>
    public void KeepWide(ModelPart part)
    {
        if (!wide.Add(part) || Compute.Memory is MemoryPolicy.Lean) return;
        nn.Module? module = part switch { ModelPart.UNet => unet, ModelPart.Vae => vae, _ => textEncoder };
        foreach (var layer in module?.modules().OfType<IStoredWeight>() ?? []) layer.Widen();
    }

    /// <summary>Frees the autoencoder's memory, once latents are cached; it is read again when it is needed again.</summary>
    public void ReleaseVae()
    {
        vae?.Dispose();
        vae = null;
        Allocator.Trim();
    }

    /// <summary>Hands back to the system what finished passes have left behind: it lies in pieces that another part's larger maps do not fit into.</summary>
    public static void ReleaseSpare() => Allocator.Trim();

    /// <inheritdoc/>
    public void Dispose()
    {
        unet?.Dispose();
        vae?.Dispose();
        textEncoder?.Dispose();
        source.Dispose();
    }

    // fp16 overflows inside the autoencoder of SD 1.
    private Compute VaeCompute => Compute.WideVae || Compute.Dtype == ScalarType.Float16 ? Compute with { Dtype = ScalarType.Float32 } : Compute;

    // fp32 of what the file has in 16 bits are the same numbers, so weights can stay in the file's pages and be widened for the moment of their use. A pass
    // becomes 2 % slower by it: little where pictures are drawn, too much where a part is trained.
    private Compute Stored(ModelPart part)
    {
        var compute = part is ModelPart.Vae ? VaeCompute : Compute;
        var lean = compute.Memory is MemoryPolicy.Lean && part is not ModelPart.Vae;
        if (trainable || compute.Dtype != ScalarType.Float32 || NarrowType(part) is not { } narrow) return compute;
        if (lean) return compute with { Storage = narrow };
        return wide.Contains(part) || compute.Device.type != TorchSharp.DeviceType.CPU ? compute : compute with { Storage = narrow, StoredFrom = Large };
    }

    // The 16 bits that all matrices of a part are stored in; null where there are others.
    private ScalarType? NarrowType(ModelPart part)
    {
        var types = source.Names(part).Where(name => name.EndsWith(".weight", StringComparison.Ordinal) && source.ShapeOf(part, name).Length > 1).Select(name => source.DtypeOf(part, name)).Distinct().ToList();
        return types is [ScalarType.Float16 or ScalarType.BFloat16] ? types[0] : null;
    }

    private static UNetSpec SpecOf(ComponentWeights weights) => UNetSpec.Sd1.SizedBy(weights);

    private long Bytes(ModelPart part)
    {
        var kept = Stored(part);
        return source.Names(part).Sum(name => InFile(source.ShapeOf(part, name)) ? 0 : Count(source.ShapeOf(part, name))) * (kept.Dtype == ScalarType.Float32 ? sizeof(float) : sizeof(ushort));

        bool InFile(long[] shape) => kept.Storage is not null && kept.Device.type == TorchSharp.DeviceType.CPU && shape.Length > 1 && Count(shape) >= kept.StoredFrom;

        static long Count(long[] shape) => shape.Aggregate(1L, (count, side) => count * side);
    }

    private T Filled<T>(ModelPart part, Func<ComponentWeights, Compute, T> create) where T : nn.Module
    {
        var weights = ComponentWeights.Of(source, part);
        var stored = Stored(part);
        var module = create(weights, stored);
        try
        {
            weights.Fill(module, stored.Storage);
            return module;
        }
        catch
        {
            module.Dispose();
            throw;
        }
    }
}
