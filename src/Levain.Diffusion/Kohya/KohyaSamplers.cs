using Levain.Core;

namespace Levain.Diffusion;

/// <summary>Every sampler of kohya's programs that works there; a file in this folder adds some. <c>dpmsolver</c> without <c>++</c> fails in the pinned diffusers and is not among them.</summary>
/// <remarks>kohya sd-scripts, <c>train_util.get_my_scheduler</c> and <c>gen_img.py</c>; diffusers 0.32.1.</remarks>
[Catalog]
public static partial class KohyaSamplers
{
    /// <summary>All of them, in name order of their properties.</summary>
    public static partial IReadOnlyList<KohyaSampler> All { get; }

    /// <summary>The sampler of this name; null where there is none.</summary>
    public static KohyaSampler? Find(string name) => All.FirstOrDefault(known => known.Name == name || known.Aliases.Contains(name));
}
