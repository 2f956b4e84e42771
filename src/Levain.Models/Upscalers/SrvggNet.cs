using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Real-ESRGAN's compact network: plain convolutions at the small size, pixels shuffled out at the end, over the nearest enlargement.</summary>
/// <remarks>Wang et al. 2021, https://arxiv.org/abs/2107.10833; keys <c>body.N</c> as in its files.</remarks>
internal sealed class SrvggNet : Module<Tensor, Tensor>
{
    private const int Channels = 3;

    private readonly ModuleList<Module<Tensor, Tensor>> body;

    /// <param name="features">Channels of the convolutions.</param>
    /// <param name="between">Convolutions between the first and the last.</param>
    /// <param name="scale">How much larger pictures become.</param>
    public SrvggNet(long features, int between, int scale, Compute compute) : base(nameof(SrvggNet))
    {
        Scale = scale;
        var layers = new List<Module<Tensor, Tensor>> { new Conv2dLayer(Channels, features, 3, compute), new SlopeLayer(features, compute) };
        for (var i = 0; i < between; i++) layers.AddRange([new Conv2dLayer(features, features, 3, compute), new SlopeLayer(features, compute)]);
        layers.Add(new Conv2dLayer(features, Channels * scale * scale, 3, compute));
        body = new([.. layers]);
        RegisterComponents();
    }

    /// <summary>How much larger pictures become.</summary>
    public int Scale { get; }

    /// <param name="x">Pictures, [B, 3, H, W], 0..1.</param>
    /// <returns>[B, 3, Scale·H, Scale·W].</returns>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var y = x;
        foreach (var layer in body) y = layer.call(y);
        return (functional.pixel_shuffle(y, Scale) + functional.interpolate(x, scale_factor: [Scale, Scale])).MoveToOuterDisposeScope();
    }

    /// <summary>A rectifier with a slope of its own for each channel (He et al. 2015, https://arxiv.org/abs/1502.01852).</summary>
    private sealed class SlopeLayer : Module<Tensor, Tensor>
    {
        private readonly Parameter weight;

        public SlopeLayer(long channels, Compute compute) : base("PReLU")
        {
            weight = Frozen.Empty(compute, channels);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            return maximum(x, zeros_like(x)).add(minimum(x, zeros_like(x)) * weight.view(1, -1, 1, 1)).MoveToOuterDisposeScope();
        }
    }
}
