using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>The denoising network of Stable Diffusion: latents, a timestep and text states in, the predicted noise (or v) out.</summary>
/// <remarks>Rombach et al. 2022, https://arxiv.org/abs/2112.10752; keys as in diffusers' <c>UNet2DConditionModel</c>, field order as in kohya's <c>original_unet.py</c>.</remarks>
public sealed class UNet : Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly Conv2dLayer conv_in;
    private readonly TimestepEmbedding time_embedding;
    private readonly TimestepEmbedding? add_embedding;
    private readonly ModuleList<DownLevel> down_blocks;
    private readonly ModuleList<UpLevel> up_blocks;
    private readonly MiddleLevel mid_block;
    private readonly GroupNormLayer conv_norm_out;
    private readonly Conv2dLayer conv_out;
    private readonly Sinusoids sinusoids;
    private readonly ScalarType dtype;
    private readonly Tensor anchor = zeros(1).requires_grad_(true).DetachFromDisposeScope();
    private readonly Dictionary<(long Batch, long Height, long Width), MemoryPlan> plans = [];

    /// <summary>Allocates a network without initialising its weights; <see cref="ComponentWeights.Fill"/> them.</summary>
    public UNet(UNetSpec spec, Compute compute) : base(nameof(UNet))
    {
        Spec = spec;
        Memory = compute.Memory;
        dtype = compute.Dtype;
        sinusoids = new(spec.Channels[0], compute.Device);
        var channels = spec.Channels;
        var last = channels.Count - 1;

        conv_in = new(spec.LatentChannels + spec.FurtherChannels, channels[0], 3, compute);
        time_embedding = new(channels[0], spec.TimeChannels, compute);
        add_embedding = spec.LabelWidth > 0 ? new(spec.LabelWidth, spec.TimeChannels, compute) : null;

        var skips = new Stack<long>([channels[0]]);
        down_blocks = new([.. channels.Select((width, i) => Down(i, width))]);
        mid_block = new(channels[last], spec, compute);
        up_blocks = new([.. channels.Select((_, i) => Up(last - i))]);

        conv_norm_out = new(channels[0], spec.ResnetNorm, compute);
        conv_out = new(channels[0], spec.LatentChannels, 3, compute);
        RegisterComponents();
        AdaptableLayers = Levain.Models.AdaptableLayers.NameIn(this);

        DownLevel Down(int level, long width)
        {
            for (var i = 0; i < spec.ResnetsPerLevel; i++) skips.Push(width);
            if (level < last) skips.Push(width);
            return new(level == 0 ? width : channels[level - 1], width, spec.Depths[level], level == last, spec, compute);
        }

        UpLevel Up(int level)
        {
            long[] used = [.. Enumerable.Range(0, spec.ResnetsPerLevel + 1).Select(_ => skips.Pop())];
            return new(channels[Math.Min(level + 1, last)], used, channels[level], spec.Depths[level], level == 0, spec, compute);
        }
    }

    /// <summary>The numbers this network was built from.</summary>
    public UNetSpec Spec { get; }

    /// <summary>Every linear layer and convolution, in the order in which kohya's trainer walks them.</summary>
    public IReadOnlyList<IAdaptableLayer> AdaptableLayers { get; }

    /// <summary>Every attention, self and cross, in no particular order.</summary>
    public IEnumerable<CrossAttention> Attentions => modules().OfType<CrossAttention>();

    /// <summary>What a training step keeps for its backward pass. Blocks that are not kept are computed twice, with the same bits.</summary>
    public MemoryPolicy Memory
    {
        get;
        set
        {
            field = value;
            plans.Clear();
        }
    }

    /// <summary>The generator that dropouts inside the network draw from; recomputed blocks draw the same numbers again. Null where nothing is drawn.</summary>
    public Generator? Draws { get; set; }

    /// <param name="latents">Noisy latents, [B, 4, H, W], in inpainting models with the further channels, [B, 9, H, W]; H and W any size.</param>
    /// <param name="timesteps">One number a latent, [B], 0 to 999.</param>
    /// <param name="context">Text states, [B, M, context].</param>
    /// <returns>The prediction, [B, 4, H, W], fp32; the caller's scope owns it.</returns>
    public override Tensor forward(Tensor latents, Tensor timesteps, Tensor context) => forward(latents, timesteps, context, null);

    /// <inheritdoc cref="forward(Tensor, Tensor, Tensor)"/>
    /// <param name="label">Pooled text and picture sizes, [B, label], where the architecture has them (SDXL); else null.</param>
    public Tensor forward(Tensor latents, Tensor timesteps, Tensor context, Tensor? label)
    {
        using var scope = NewDisposeScope();
        var time = time_embedding.call(sinusoids.Of(timesteps).to(dtype));
        if (add_embedding is not null) time = time + add_embedding.call(label!.to(dtype));
        time = functional.silu(time);
        context = context.to(dtype);

        var run = Runner(latents.shape);
        var x = conv_in.call(latents.to(dtype));
        var skips = new Stack<Tensor>([x]);
        for (var i = 0; i < down_blocks.Count; i++) x = down_blocks[i].forward($"down_blocks.{i}", x, time, context, skips, run);
        x = run("mid_block", given => mid_block.call(given[0], given[1], given[2]), x, time, context);
        for (var i = 0; i < up_blocks.Count; i++) x = up_blocks[i].forward($"up_blocks.{i}", x, time, context, skips, run);

        x = conv_out.call(functional.silu(conv_norm_out.call(x)));
        return x.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>What every block would keep and cost for latents of this shape.</summary>
    public IReadOnlyList<BlockCost> Costs(ReadOnlySpan<long> latents) => UNetCosts.Of(Spec, latents[0], latents[2], latents[3], dtype == ScalarType.Float32 ? sizeof(float) : sizeof(ushort));

    // Unrecorded passes need no plan. A plan holds for a size: buckets change it, steps do not.
    private BlockRun Runner(long[] latents)
    {
        if (!is_grad_enabled()) return static (_, body, inputs) => body(inputs);
        var size = (latents[0], latents[2], latents[3]);
        if (!plans.TryGetValue(size, out var plan)) plans[size] = plan = MemoryPlan.Choose(Memory, Costs(latents), SystemMemory.Available);
        return (block, body, inputs) => plan.Recomputed.Contains(block)
            ? Recomputed.Run(body, anchor, Draws, inputs)
            : body([.. inputs.Select(input => input.requires_grad ? input.view_as(input) : input)]);     // gradients of an input are summed within the block, as when it is recomputed: else the last bits would differ
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            sinusoids.Dispose();
            anchor.Dispose();
        }
        base.Dispose(disposing);
    }
}
