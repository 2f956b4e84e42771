using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Enlarges or shrinks maps by a filter that works on rows and columns apart, with the numbers of libtorch's <c>interpolate</c>.</summary>
/// <param name="Kernel">Weight by distance in cells.</param>
/// <param name="Reach">Distance beyond which it is zero.</param>
internal sealed record LatentFilter(Func<double, double> Kernel, double Reach)
{
    // libtorch bends its bicubic filter by −0.75, its antialiased one by −0.5 as Pillow does.
    private const double PlainBend = -0.75, PillowBend = -0.5;

    /// <summary>Widens the filter where the map shrinks, and leaves out what lies beyond the edges instead of repeating them.</summary>
    public bool Antialias { get; init; }

    /// <summary>Picks one cell; how many cells the centre of a target cell is moved before it is rounded down. Null to weigh several.</summary>
    public double? Pick { get; init; }

    public static LatentFilter Bilinear { get; } = new(x => Math.Max(1 - Math.Abs(x), 0), 1);

    public static LatentFilter Bicubic { get; } = new(x => Cubic(x, PlainBend), 2);

    public static LatentFilter BicubicAntialiased { get; } = new(x => Cubic(x, PillowBend), 2) { Antialias = true };

    public static LatentFilter Nearest { get; } = new(_ => 1, 0) { Pick = 0 };

    public static LatentFilter NearestExact { get; } = new(_ => 1, 0) { Pick = 0.5 };

    /// <param name="x">[B, C, H, W].</param>
    /// <returns>[B, C, height, width]; the caller's scope owns it.</returns>
    public Tensor Resize(Tensor x, long height, long width)
    {
        using var scope = NewDisposeScope();
        var rows = tensor(Weights(x.shape[2], height), height, x.shape[2]).to(x.device);
        var columns = tensor(Weights(x.shape[3], width), width, x.shape[3]).to(x.device);
        return rows.matmul(x.to(ScalarType.Float32)).matmul(columns.transpose(0, 1)).MoveToOuterDisposeScope();
    }

    /// <summary>What each target cell takes of each source cell, [to, from].</summary>
    private float[] Weights(long from, long to)
    {
        var weights = new float[to * from];
        var scale = (double)from / to;
        var stretch = Antialias ? Math.Max(scale, 1) : 1;
        for (var target = 0; target < to; target++)
        {
            if (Pick is { } shift)
            {
                weights[target * from + Math.Min((long)((target + shift) * scale), from - 1)] = 1;
                continue;
            }
            var centre = (target + 0.5) * scale - 0.5;
            if (!Antialias && Reach == 1) centre = Math.Max(centre, 0);
            var sum = 0.0;
            var (first, last) = ((long)Math.Ceiling(centre - Reach * stretch), (long)Math.Floor(centre + Reach * stretch));
            for (var source = first; source <= last; source++)
            {
                if (Antialias && (source < 0 || source >= from)) continue;
                var weight = Kernel((source - centre) / stretch);
                sum += weight;
                weights[target * from + Math.Clamp(source, 0, from - 1)] += (float)weight;
            }
            for (var source = 0; source < from; source++) weights[target * from + source] /= (float)sum;
        }
        return weights;
    }

    private static double Cubic(double x, double bend)
    {
        x = Math.Abs(x);
        if (x < 1) return ((bend + 2) * x - (bend + 3)) * x * x + 1;
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * bend : 0;
    }
}
