using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>A way to enlarge what the first pass drew.</summary>
/// <param name="Name">The webui's name: infotexts show it.</param>
/// <param name="Summary">One line for menus.</param>
public sealed record Upscaler(string Name, string Summary)
{
    /// <summary>Enlarges latents, [B, 4, H, W], to the given height and width in cells; null where pictures are enlarged.</summary>
    internal Func<Tensor, long, long, Tensor>? Latents { get; init; }

    /// <summary>Enlarges a picture; null where latents are enlarged.</summary>
    internal Func<Picture, PixelSize, Picture>? Pictures { get; init; }
}

/// <summary>Upscalers that need no file. A file in this folder adds some.</summary>
[Catalog]
public static partial class Upscalers
{
    /// <summary>All of them, in name order of their properties.</summary>
    public static partial IReadOnlyList<Upscaler> All { get; }

    /// <summary>The upscaler of this name, whatever its case; null where there is none.</summary>
    public static Upscaler? Find(string name) => All.FirstOrDefault(known => known.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
}
