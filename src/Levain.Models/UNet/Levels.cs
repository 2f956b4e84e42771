using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Runs one block of the network: recorded, or forgotten and recomputed.</summary>
/// <param name="block">Its place: <c>down_blocks.0.0</c>.</param>
/// <param name="body">The block, as a function of everything it receives.</param>
internal delegate Tensor BlockRun(string block, Func<Tensor[], Tensor> body, params Tensor[] inputs);

/// <summary>One level on the way down: resnets, each followed by a transformer where the level has attention, then a halving.</summary>
/// <remarks>Every intermediate map is pushed for the way up. Field order is kohya's, see <see cref="BasicTransformerBlock"/>.</remarks>
internal sealed class DownLevel : Module
{
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Downsample2D>? downsamplers;

    public DownLevel(long inputs, long outputs, int depth, bool last, UNetSpec spec, Compute compute)
        : base(depth > 0 ? "CrossAttnDownBlock2D" : "DownBlock2D")
    {
        var indices = Enumerable.Range(0, spec.ResnetsPerLevel);
        attentions = depth > 0 ? new([.. indices.Select(_ => new Transformer2DModel(outputs, depth, spec, compute))]) : null;
        resnets = new([.. indices.Select(i => new ResnetBlock2D(i == 0 ? inputs : outputs, outputs, spec.TimeChannels, spec.ResnetNorm, compute))]);
        downsamplers = last ? null : new(new Downsample2D(outputs, compute));
        RegisterComponents();
    }

    /// <param name="x">[B, In, H, W].</param>
    /// <param name="skips">Receives the level's maps; the caller's scope owns them.</param>
    public Tensor forward(string place, Tensor x, Tensor time, Tensor context, Stack<Tensor> skips, BlockRun run)
    {
        for (var i = 0; i < resnets.Count; i++)
        {
            var (resnet, attention) = (resnets[i], attentions?[i]);
            x = run($"{place}.{i}", given => Block(resnet, attention, given[0], given[1], given[2]), x, time, context);
            skips.Push(x);
        }
        if (downsamplers is not null) skips.Push(x = downsamplers[0].call(x));
        return x;
    }

    internal static Tensor Block(ResnetBlock2D resnet, Transformer2DModel? attention, Tensor x, Tensor time, Tensor context)
    {
        using var scope = NewDisposeScope();
        var h = resnet.call(x, time);
        return (attention?.call(h, context) ?? h).MoveToOuterDisposeScope();
    }
}

/// <summary>The lowest level: a transformer between two resnets.</summary>
internal sealed class MiddleLevel : Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly ModuleList<Transformer2DModel> attentions;
    private readonly ModuleList<ResnetBlock2D> resnets;

    public MiddleLevel(long channels, UNetSpec spec, Compute compute) : base("UNetMidBlock2DCrossAttn")
    {
        attentions = new(new Transformer2DModel(channels, spec.MiddleDepth, spec, compute));
        resnets = new(Resnet(), Resnet());
        RegisterComponents();

        ResnetBlock2D Resnet() => new(channels, channels, spec.TimeChannels, spec.ResnetNorm, compute);
    }

    public override Tensor forward(Tensor x, Tensor time, Tensor context)
    {
        using var scope = NewDisposeScope();
        return resnets[1].call(attentions[0].call(resnets[0].call(x, time), context), time).MoveToOuterDisposeScope();
    }
}

/// <summary>One level on the way up: resnets over the map joined with the one from the way down, then a doubling.</summary>
internal sealed class UpLevel : Module
{
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Upsample2D>? upsamplers;

    /// <param name="inputs">Channels from below.</param>
    /// <param name="skips">Channels of the maps from the way down, in the order they are used.</param>
    public UpLevel(long inputs, IReadOnlyList<long> skips, long outputs, int depth, bool last, UNetSpec spec, Compute compute)
        : base(depth > 0 ? "CrossAttnUpBlock2D" : "UpBlock2D")
    {
        attentions = depth > 0 ? new([.. skips.Select(_ => new Transformer2DModel(outputs, depth, spec, compute))]) : null;
        resnets = new([.. skips.Select((skip, i) => new ResnetBlock2D((i == 0 ? inputs : outputs) + skip, outputs, spec.TimeChannels, spec.ResnetNorm, compute))]);
        upsamplers = last ? null : new(new Upsample2D(outputs, compute));
        RegisterComponents();
    }

    /// <param name="x">[B, In, H, W].</param>
    /// <param name="skips">Maps of the way down, last in first out.</param>
    public Tensor forward(string place, Tensor x, Tensor time, Tensor context, Stack<Tensor> skips, BlockRun run)
    {
        for (var i = 0; i < resnets.Count; i++)
        {
            var (resnet, attention) = (resnets[i], attentions?[i]);
            x = run($"{place}.{i}", given => Block(resnet, attention, given), x, skips.Pop(), time, context);
        }
        // The next map's own size, since sides that are no multiples of 8 were rounded up on the way down.
        return upsamplers is null ? x : upsamplers[0].call(x, (skips.Peek().size(2), skips.Peek().size(3)));
    }

    private static Tensor Block(ResnetBlock2D resnet, Transformer2DModel? attention, Tensor[] given)
    {
        using var scope = NewDisposeScope();
        return DownLevel.Block(resnet, attention, cat([given[0], given[1]], 1), given[2], given[3]).MoveToOuterDisposeScope();
    }
}
