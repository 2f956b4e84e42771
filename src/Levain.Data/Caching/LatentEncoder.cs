using static TorchSharp.torch;

namespace Levain.Data;

/// <summary>The VAE, as the cache sees it: this room knows no model.</summary>
/// <param name="Identity">Names weights and arithmetic, such as a hash of the VAE's tensors and the type it computes in. Another identity never meets these latents.</param>
/// <param name="Encode">Pictures [B, 3, H, W] in −1..1 to the distribution of their latents: mean and log variance, [B, 2·C, H/8, W/8]. Draws nothing.</param>
/// <param name="Sample">Draws latents [B, C, H/8, W/8] from such distributions, with the run's generator.</param>
/// <param name="FileEnding">End of the names of kohya's files: <c>sd</c> or <c>sdxl</c>.</param>
/// <remarks>What is kept on disk are the distributions: a run draws the same numbers whether it finds them or not, and so gives the same result.</remarks>
public sealed record LatentEncoder(string Identity, Func<Tensor, Tensor> Encode, Func<Tensor, Tensor> Sample, string FileEnding = "sd");

/// <summary>Where cached latents are kept between runs.</summary>
public enum LatentStorage
{
    /// <summary>Nowhere: in memory for this run.</summary>
    Memory,

    /// <summary>In a folder of files named by content: safe for several runs at once, never stale.</summary>
    Folder,

    /// <summary>In kohya's <c>.npz</c> files beside the pictures. They hold drawn latents: a run that finds them draws fewer numbers.</summary>
    KohyaFiles,
}
