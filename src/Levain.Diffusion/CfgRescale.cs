using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>Brings a guided prediction back to the deviation of the unguided one, against overexposed pictures.</summary>
/// <remarks>Lin et al. 2023, https://arxiv.org/abs/2305.08891, equations 15 and 16.</remarks>
public static class CfgRescale
{
    /// <param name="guided">Prediction after guidance, [B, 4, H, W].</param>
    /// <param name="positive">Prediction of the prompt alone, [B, 4, H, W].</param>
    /// <param name="share">φ, 0 for none to 1 for the whole change; 0.7 in the paper.</param>
    /// <returns>The prediction; the caller's scope owns it.</returns>
    public static Tensor Apply(Tensor guided, Tensor positive, double share)
    {
        using var scope = NewDisposeScope();
        var rescaled = guided * (Deviation(positive) / Deviation(guided));
        return (rescaled * share + guided * (1 - share)).MoveToOuterDisposeScope();
    }

    private static Tensor Deviation(Tensor x) => x.std([1, 2, 3], unbiased: true, keepdim: true);
}
