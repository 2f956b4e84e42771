namespace Levain.Diffusion;

/// <summary>How much of a walk is made when it begins at a picture.</summary>
/// <param name="Steps">Steps of the whole walk.</param>
/// <param name="Encoded">Steps from the end at whose noise the picture enters, counted from 0; the webui's t_enc.</param>
public readonly record struct Img2ImgSteps(int Steps, int Encoded)
{
    private const double MostDenoise = 0.999;

    /// <summary>The webui's rule.</summary>
    /// <param name="steps">Steps asked for.</param>
    /// <param name="denoise">How much of the picture may change, 0 to 1.</param>
    /// <param name="exactly">Makes exactly <paramref name="steps"/> steps, of a walk that is longer; else only the share of them that <paramref name="denoise"/> names.</param>
    /// <remarks>AUTOMATIC1111's webui, <c>sd_samplers_common.setup_img2img_steps</c>.</remarks>
    public static Img2ImgSteps For(int steps, double denoise, bool exactly = false)
    {
        var share = Math.Min(denoise, MostDenoise);
        return exactly ? new(denoise > 0 ? (int)(steps / share) : 0, steps - 1) : new(steps, (int)(share * steps));
    }
}
