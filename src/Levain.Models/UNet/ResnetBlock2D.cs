using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Two 3×3 convolutions around a skip, in the U-Net conditioned on the timestep.</summary>
/// <remarks>Rombach et al. 2022, https://arxiv.org/abs/2112.10752; keys as in diffusers' <c>resnets.N</c>.</remarks>
public sealed class ResnetBlock2D : Module<Tensor, Tensor?, Tensor>
{
    private readonly GroupNormLayer norm1;
    private readonly Conv2dLayer conv1;
    private readonly LinearLayer? time_emb_proj;
    private readonly GroupNormLayer norm2;
    private readonly Conv2dLayer conv2;
    private readonly Conv2dLayer? conv_shortcut;

    /// <param name="inputs">Channels in.</param>
    /// <param name="outputs">Channels out; a 1×1 shortcut joins them where they differ.</param>
    /// <param name="timeChannels">Width T of the timestep embedding; 0 without one (VAE).</param>
    public ResnetBlock2D(long inputs, long outputs, long timeChannels, GroupNormSpec norm, Compute compute) : base(nameof(ResnetBlock2D))
    {
        norm1 = new(inputs, norm, compute);
        conv1 = new(inputs, outputs, 3, compute);
        time_emb_proj = timeChannels > 0 ? new(timeChannels, outputs, compute) : null;
        norm2 = new(outputs, norm, compute);
        conv2 = new(outputs, outputs, 3, compute);
        conv_shortcut = inputs == outputs ? null : new(inputs, outputs, 1, compute);
        RegisterComponents();
    }

    /// <param name="x">Feature map, [B, In, H, W].</param>
    /// <param name="time">Timestep embedding after SiLU, [B, T]; every resnet hears the same one, so it is activated once.</param>
    /// <returns>Feature map, [B, Out, H, W]; the caller's scope owns it.</returns>
    public override Tensor forward(Tensor x, Tensor? time)
    {
        using var scope = NewDisposeScope();
        using var first = Convolved(norm1, conv1, x);                                                // [B, Out, H, W]
        using var timed = time_emb_proj is null ? first.alias() : first + time_emb_proj.call(time!).unsqueeze(-1).unsqueeze(-1);    // [B, Out, 1, 1] over H, W
        var h = Convolved(norm2, conv2, timed);
        return ((conv_shortcut?.call(x) ?? x) + h).MoveToOuterDisposeScope();
    }

    // Maps of a large picture are let go of as soon as they have served.
    private static Tensor Convolved(GroupNormLayer norm, Conv2dLayer conv, Tensor x)
    {
        using var scope = NewDisposeScope();
        return conv.call(Activation.Silu(norm.call(x))).MoveToOuterDisposeScope();
    }
}
