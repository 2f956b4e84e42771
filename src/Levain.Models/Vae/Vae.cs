using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>The autoencoder between pictures and latents of an eighth of their side.</summary>
/// <remarks>Kingma and Welling 2013, https://arxiv.org/abs/1312.6114; Rombach et al. 2022, https://arxiv.org/abs/2112.10752; keys as in diffusers' <c>AutoencoderKL</c>.</remarks>
public sealed class Vae : Module
{
    /// <summary>See <see cref="DecodeTiled"/>.</summary>
    public const long MostKept = 256 * 256;

    private readonly VaeEncoder encoder;
    private readonly VaeDecoder decoder;
    private readonly Conv2dLayer quant_conv;
    private readonly Conv2dLayer post_quant_conv;
    private readonly Compute compute;

    /// <summary>Allocates an autoencoder without initialising its weights; <see cref="ComponentWeights.Fill"/> them.</summary>
    public Vae(VaeSpec spec, Compute compute) : base(nameof(Vae))
    {
        Spec = spec;
        this.compute = compute;
        encoder = new(spec, compute);
        decoder = new(spec, compute);
        quant_conv = new(2 * spec.LatentChannels, 2 * spec.LatentChannels, 1, compute);
        post_quant_conv = new(spec.LatentChannels, spec.LatentChannels, 1, compute);
        RegisterComponents();
    }

    /// <summary>The numbers this autoencoder was built from.</summary>
    public VaeSpec Spec { get; }

    /// <summary>What latents are multiplied by before the U-Net sees them.</summary>
    public double ScaleFactor => Spec.ScaleFactor;

    /// <summary>The distribution of the latent of each picture.</summary>
    /// <param name="images">Pictures, [B, 3, H, W], −1..1; sides are rounded down to multiples of 8 px.</param>
    /// <returns>Mean and log variance (clamped to −30..20), [B, 4, H/8, W/8], fp32, unscaled; the caller's scope owns them.</returns>
    public (Tensor Mean, Tensor LogVariance) Encode(Tensor images)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (mean, logVariance) = Moments(quant_conv.call(encoder.call(images.to(compute.Device).to(compute.Dtype))));
        return (mean.MoveToOuterDisposeScope(), logVariance.MoveToOuterDisposeScope());
    }

    /// <summary>The distribution of the latent of one picture, computed in tiles: the numbers of <see cref="Encode"/> but for the last digits, in two to three times its time and a third of its memory.</summary>
    /// <param name="picture">[1, 3, H, W], −1..1; sides are rounded down to multiples of 8 px.</param>
    /// <param name="tile">Side of a tile in latent cells.</param>
    /// <param name="mostKept">As for <see cref="DecodeTiled"/>.</param>
    /// <returns>As <see cref="Encode"/>.</returns>
    public (Tensor Mean, Tensor LogVariance) EncodeTiled(Tensor picture, int tile, long mostKept = MostKept)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (height, width) = (picture.shape[2] / Core.LatentSize.CellPixels, picture.shape[3] / Core.LatentSize.CellPixels);
        var moments = height <= tile && width <= tile ? Encode(picture)
            : Moments(quant_conv.call(new TiledEncoding(encoder, Tiles).Encode(picture.to(compute.Device).to(compute.Dtype), tile, spares: height * width > mostKept)));
        return (moments.Mean.MoveToOuterDisposeScope(), moments.LogVariance.MoveToOuterDisposeScope());
    }

    /// <summary>Latents back to pictures.</summary>
    /// <param name="latents">[B, 4, H, W], unscaled: divided by <see cref="ScaleFactor"/>.</param>
    /// <returns>Pictures, [B, 3, 8·H, 8·W], about −1..1, fp32; the caller's scope owns them.</returns>
    public Tensor Decode(Tensor latents)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return decoder.call(post_quant_conv.call(latents.to(compute.Device).to(compute.Dtype))).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>Latents back to pictures in tiles: the numbers of <see cref="Decode"/> but for the last digits, in twice its time and about a third of its memory.</summary>
    /// <param name="latents">[1, 4, H, W], unscaled.</param>
    /// <param name="tile">Side of a tile in latent cells.</param>
    /// <param name="mostKept">Cells from which on maps of the picture's own size are not kept but computed anew: half the memory, again half the time. Default that of 2048×2048 px.</param>
    /// <returns>Pictures, [1, 3, 8·H, 8·W], on the CPU; the caller's scope owns them.</returns>
    public Tensor DecodeTiled(Tensor latents, int tile, long mostKept = MostKept)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        if (latents.shape[2] <= tile && latents.shape[3] <= tile) return Decode(latents).MoveToOuterDisposeScope();
        var spares = latents.shape[2] * latents.shape[3] > mostKept;
        return new TiledDecoding(decoder, Tiles).Decode(decoder.Middle(post_quant_conv.call(latents.to(compute.Device).to(compute.Dtype))), tile, spares).MoveToOuterDisposeScope();
    }

    /// <summary>Which edges of pictures join, see <see cref="Seamless"/>.</summary>
    internal (bool Width, bool Height) Edges { get; set; }

    private TiledStages Tiles => new(Spec.Norm.Groups, Edges.Height, Edges.Width);

    private static (Tensor Mean, Tensor LogVariance) Moments(Tensor both)
    {
        var halves = both.to(ScalarType.Float32).chunk(2, 1);
        return (halves[0].contiguous(), halves[1].clamp(-30, 20).contiguous());
    }
}
