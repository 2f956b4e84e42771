using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A latent to a picture.</summary>
internal sealed class VaeDecoder : Module<Tensor, Tensor>
{
    private readonly Conv2dLayer conv_in;
    private readonly VaeMiddle mid_block;
    private readonly ModuleList<Level> up_blocks;
    private readonly GroupNormLayer conv_norm_out;
    private readonly Conv2dLayer conv_out;

    public VaeDecoder(VaeSpec spec, Compute compute) : base("Decoder")
    {
        const int PictureChannels = 3;
        long[] channels = [.. spec.Channels.Reverse()];
        conv_in = new(spec.LatentChannels, channels[0], 3, compute);
        mid_block = new(channels[0], spec.Norm, compute);
        up_blocks = new([.. channels.Select((width, i) => new Level(channels[Math.Max(i - 1, 0)], width, last: i == channels.Length - 1, spec, compute))]);
        conv_norm_out = new(channels[^1], spec.Norm, compute);
        conv_out = new(channels[^1], PictureChannels, 3, compute);
        RegisterComponents();
    }

    /// <param name="latent">[B, 4, H, W].</param>
    /// <returns>[B, 3, 8·H, 8·W].</returns>
    public override Tensor forward(Tensor latent)
    {
        using var scope = NewDisposeScope();
        return Up(Middle(latent)).MoveToOuterDisposeScope();
    }

    /// <summary>The lowest level, which looks at the whole picture.</summary>
    public Tensor Middle(Tensor latent)
    {
        using var scope = NewDisposeScope();
        return mid_block.call(conv_in.call(latent)).MoveToOuterDisposeScope();
    }

    /// <summary>The levels above, which look a few cells around, but for the statistics of their norms.</summary>
    public Tensor Up(Tensor x)
    {
        using var scope = NewDisposeScope();
        var given = x;
        foreach (var stage in Stages)
        {
            var larger = stage.Run(x);
            if (!ReferenceEquals(x, given)) x.Dispose();
            x = larger;
        }
        return Output(x).MoveToOuterDisposeScope();
    }

    /// <summary>The levels above, resnet by resnet; <see cref="Output"/> follows the last.</summary>
    public IEnumerable<VaeStage> Stages => up_blocks.SelectMany((level, i) => level.Resnets.Select((resnet, j) =>
        j == 0 && i > 0 ? new VaeStage(up_blocks[i - 1].Enlarged, Enlarges: true, resnet) : new(null, Enlarges: false, resnet)));

    /// <summary>The norm of <see cref="Output"/>.</summary>
    public GroupNormLayer OutputNorm => conv_norm_out;

    /// <summary>The largest map to colours.</summary>
    public Tensor Output(Tensor x)
    {
        using var scope = NewDisposeScope();
        return conv_out.call(Activation.Silu(conv_norm_out.call(x))).MoveToOuterDisposeScope();
    }

    private sealed class Level : Module
    {
        private readonly ModuleList<ResnetBlock2D> resnets;
        private readonly ModuleList<Upsample2D>? upsamplers;

        public Level(long inputs, long outputs, bool last, VaeSpec spec, Compute compute) : base("UpDecoderBlock2D")
        {
            resnets = new([.. Enumerable.Range(0, spec.ResnetsPerLevel + 1).Select(i => new ResnetBlock2D(i == 0 ? inputs : outputs, outputs, timeChannels: 0, spec.Norm, compute))]);
            upsamplers = last ? null : new(new Upsample2D(outputs, compute));
            RegisterComponents();
        }

        public IReadOnlyList<ResnetBlock2D> Resnets => [.. resnets];

        public Tensor Enlarged(Tensor x) => upsamplers![0].call(x, (2 * x.shape[2], 2 * x.shape[3]));
    }
}
