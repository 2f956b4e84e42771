using Levain.Core;

namespace Levain.Data;

/// <summary>Brings pictures to another size with the resamplers kohya uses, since losses depend on their rounding.</summary>
public static class Resampling
{
    /// <summary>Names that <c>resize_interpolation</c> may have.</summary>
    public static IReadOnlyList<string> Names { get; } = ["lanczos", "lanczos4", "box", "area", "bicubic", "cubic", "bilinear", "linear", "nearest"];

    /// <summary>Resamples a picture; gives the picture itself if it has the size already.</summary>
    /// <param name="source">The picture.</param>
    /// <param name="size">New size, px.</param>
    /// <param name="name">One of <see cref="Names"/>; null: area where no side grows, else Lanczos.</param>
    /// <exception cref="ArgumentException">The name is not known.</exception>
    public static Pixels Resize(Pixels source, PixelSize size, string? name = null)
    {
        if (size == source.Size) return source;
        var shrinks = size.Width <= source.Width && size.Height <= source.Height;
        return (name ?? (shrinks ? "area" : "lanczos")) switch
        {
            "lanczos" or "lanczos4" => PillowResampling.Resize(source, size, PillowResampling.Lanczos, reach: 3),
            "box" => PillowResampling.Resize(source, size, PillowResampling.Box, reach: 0.5),
            "area" when shrinks => AreaResampling.Shrink(source, size),
            "area" => OpenCvResampling.Linear(source, size, byArea: true),
            "bicubic" or "cubic" => CubicResampling.Resize(source, size),
            "bilinear" or "linear" => OpenCvResampling.Linear(source, size, byArea: false),
            "nearest" => OpenCvResampling.Nearest(source, size),
            var other => throw new ArgumentException($"resize_interpolation is '{other}'. {Nearest.Advice(other, Names)}"),
        };
    }
}
