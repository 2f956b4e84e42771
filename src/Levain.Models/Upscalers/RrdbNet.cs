using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>The numbers of an ESRGAN-family network; all of them are read from the file.</summary>
/// <param name="Inputs">Channels in: 3, or 12 or 48 where the picture is folded first.</param>
/// <param name="Outputs">Channels out: 3.</param>
/// <param name="Features">Channels of the trunk: 64.</param>
/// <param name="Growth">Channels each convolution of a block adds: 32.</param>
/// <param name="Blocks">Blocks of the trunk: 23, or 6.</param>
/// <param name="Doublings">Times the map is doubled.</param>
/// <param name="Plus">Whether blocks have the 1×1 convolution of ESRGAN+.</param>
internal sealed record RrdbSpec(long Inputs, long Outputs, long Features, long Growth, int Blocks, int Doublings, bool Plus);

/// <summary>ESRGAN's generator: residual in residual dense blocks, then nearest doublings with convolutions between.</summary>
/// <remarks>Wang et al. 2018, https://arxiv.org/abs/1809.00219; keys as in Real-ESRGAN's files. Folding as in https://arxiv.org/abs/2107.10833.</remarks>
internal sealed class RrdbNet : Module<Tensor, Tensor>
{
    internal const double Slope = 0.2, Residual = 0.2;

    private readonly Conv2dLayer conv_first, conv_body, conv_hr, conv_last;
    private readonly ModuleList<Block> body;
    private readonly ModuleList<Conv2dLayer> conv_up;
    private readonly int fold;

    public RrdbNet(RrdbSpec spec, Compute compute) : base(nameof(RrdbNet))
    {
        fold = spec.Inputs == spec.Outputs * 4 ? 2 : spec.Inputs == spec.Outputs * 16 ? 4 : 1;
        conv_first = new(spec.Inputs, spec.Features, 3, compute);
        body = new([.. Enumerable.Range(0, spec.Blocks).Select(_ => new Block(spec, compute))]);
        conv_body = new(spec.Features, spec.Features, 3, compute);
        conv_up = new([.. Enumerable.Range(0, spec.Doublings).Select(_ => new Conv2dLayer(spec.Features, spec.Features, 3, compute))]);
        conv_hr = new(spec.Features, spec.Features, 3, compute);
        conv_last = new(spec.Features, spec.Outputs, 3, compute);
        Scale = (1 << spec.Doublings) / fold;
        RegisterComponents();
    }

    /// <summary>How much larger pictures become.</summary>
    public int Scale { get; }

    /// <param name="x">Pictures, [B, 3, H, W], 0..1.</param>
    /// <returns>[B, 3, Scale·H, Scale·W].</returns>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (height, width) = (x.shape[2], x.shape[3]);
        if (fold > 1) x = functional.pixel_unshuffle(Padded(x), fold);
        x = conv_first.call(x);
        var trunk = x;
        foreach (var block in body) trunk = block.call(trunk);
        x = x + conv_body.call(trunk);
        foreach (var up in conv_up) x = Leaky(up.call(functional.interpolate(x, scale_factor: [2, 2])));
        x = conv_last.call(Leaky(conv_hr.call(x)));
        return x.narrow(2, 0, height * Scale).narrow(3, 0, width * Scale).MoveToOuterDisposeScope();
    }

    /// <summary>Mirrored to whole folds at the right and lower edge.</summary>
    private Tensor Padded(Tensor x)
    {
        var (bottom, right) = ((fold - x.shape[2] % fold) % fold, (fold - x.shape[3] % fold) % fold);
        return bottom + right == 0 ? x : functional.pad(x, [0, right, 0, bottom], mode: PaddingModes.Reflect);
    }

    internal static Tensor Leaky(Tensor x) => functional.leaky_relu(x, Slope);

    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Dense rdb1, rdb2, rdb3;

        public Block(RrdbSpec spec, Compute compute) : base("RRDB")
        {
            (rdb1, rdb2, rdb3) = (new(spec, compute), new(spec, compute), new(spec, compute));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            return (x + rdb3.call(rdb2.call(rdb1.call(x))) * Residual).MoveToOuterDisposeScope();
        }
    }

    private sealed class Dense : Module<Tensor, Tensor>
    {
        private readonly Conv2dLayer conv1, conv2, conv3, conv4, conv5;
        private readonly Conv2dLayer? conv1x1;

        public Dense(RrdbSpec spec, Compute compute) : base("ResidualDenseBlock")
        {
            var (features, growth) = (spec.Features, spec.Growth);
            (conv1, conv2) = (new(features, growth, 3, compute), new(features + growth, growth, 3, compute));
            (conv3, conv4) = (new(features + 2 * growth, growth, 3, compute), new(features + 3 * growth, growth, 3, compute));
            conv5 = new(features + 4 * growth, features, 3, compute);
            conv1x1 = spec.Plus ? new(features, growth, 1, compute, hasBias: false) : null;
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            var first = Leaky(conv1.call(x));
            var second = Leaky(conv2.call(cat([x, first], 1)));
            if (conv1x1 is not null) second = second + conv1x1.call(x);
            var third = Leaky(conv3.call(cat([x, first, second], 1)));
            var fourth = Leaky(conv4.call(cat([x, first, second, third], 1)));
            if (conv1x1 is not null) fourth = fourth + second;
            return (x + conv5.call(cat([x, first, second, third, fourth], 1)) * Residual).MoveToOuterDisposeScope();
        }
    }
}
