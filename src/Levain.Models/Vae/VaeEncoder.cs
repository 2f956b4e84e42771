using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A picture to the mean and log variance of its latent.</summary>
internal sealed class VaeEncoder : Module<Tensor, Tensor>
{
    private readonly Conv2dLayer conv_in;
    private readonly ModuleList<Level> down_blocks;
    private readonly VaeMiddle mid_block;
    private readonly GroupNormLayer conv_norm_out;
    private readonly Conv2dLayer conv_out;

    public VaeEncoder(VaeSpec spec, Compute compute) : base("Encoder")
    {
        const int PictureChannels = 3;
        var channels = spec.Channels;
        conv_in = new(PictureChannels, channels[0], 3, compute);
        down_blocks = new([.. channels.Select((width, i) => new Level(channels[Math.Max(i - 1, 0)], width, last: i == channels.Count - 1, spec, compute))]);
        mid_block = new(channels[^1], spec.Norm, compute);
        conv_norm_out = new(channels[^1], spec.Norm, compute);
        conv_out = new(channels[^1], 2 * spec.LatentChannels, 3, compute);
        RegisterComponents();
    }

    /// <param name="picture">[B, 3, H, W].</param>
    /// <returns>[B, 8, H/8, W/8].</returns>
    public override Tensor forward(Tensor picture)
    {
        using var scope = NewDisposeScope();
        var x = conv_in.call(picture);
        for (var i = 0; i + 1 < down_blocks.Count; i++) x = down_blocks[i].call(x);
        return Lower(x).MoveToOuterDisposeScope();
    }

    /// <summary>The levels that halve the picture, from the top, which look a few cells around, but for the statistics of their norms; <see cref="Lower"/> follows.</summary>
    public IEnumerable<(IReadOnlyList<VaeStage> Stages, Downsample2D Shrink)> Upper => down_blocks.SkipLast(1).Select((level, i) =>
        ((IReadOnlyList<VaeStage>)[.. level.Resnets.Select((resnet, j) => new VaeStage(i + j == 0 ? conv_in.call : null, Enlarges: false, resnet))], level.Shrink!));

    /// <summary>The lowest level, which looks at the whole picture, to moments of the latent.</summary>
    public Tensor Lower(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = mid_block.call(down_blocks[^1].call(x));
        return conv_out.call(functional.silu(conv_norm_out.call(x))).MoveToOuterDisposeScope();
    }

    private sealed class Level : Module<Tensor, Tensor>
    {
        private readonly ModuleList<ResnetBlock2D> resnets;
        private readonly ModuleList<Downsample2D>? downsamplers;

        public Level(long inputs, long outputs, bool last, VaeSpec spec, Compute compute) : base("DownEncoderBlock2D")
        {
            resnets = new([.. Enumerable.Range(0, spec.ResnetsPerLevel).Select(i => new ResnetBlock2D(i == 0 ? inputs : outputs, outputs, timeChannels: 0, spec.Norm, compute))]);
            downsamplers = last ? null : new(new Downsample2D(outputs, compute, trailing: true));
            RegisterComponents();
        }

        public IReadOnlyList<ResnetBlock2D> Resnets => [.. resnets];

        public Downsample2D? Shrink => downsamplers?[0];

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            foreach (var resnet in resnets) x = resnet.call(x, null);
            return (downsamplers is null ? x : downsamplers[0].call(x)).MoveToOuterDisposeScope();
        }
    }
}
