using Levain.Core;

namespace Levain.Data;

/// <summary>Where a picture goes: its bucket, the size it is resampled to, and how far the aspects differ.</summary>
/// <param name="Bucket">Size after cutting, px.</param>
/// <param name="Resized">Size after resampling, px; covers the bucket.</param>
/// <param name="AspectError">Aspect of the bucket minus aspect of the picture.</param>
public readonly record struct BucketChoice(PixelSize Bucket, PixelSize Resized, double AspectError);

/// <summary>Finds the bucket of a picture by kohya's rules.</summary>
/// <remarks>sd-scripts, <c>library/model_util.py</c> (list of buckets) and <c>library/train_util.py</c> (choice).</remarks>
public sealed class BucketRule
{
    private readonly long area;
    private readonly int step;
    private readonly bool noUpscale;

    private BucketRule(IReadOnlyList<PixelSize> predefined, long area, int step, bool noUpscale) =>
        (Predefined, this.area, this.step, this.noUpscale) = (predefined, area, step, noUpscale);

    /// <summary>The sizes that may be chosen, by width and height; empty where buckets follow the pictures.</summary>
    public IReadOnlyList<PixelSize> Predefined { get; }

    /// <summary>The rule of a dataset. Limits that are no multiples of the step are widened to the next ones.</summary>
    /// <exception cref="ArgumentException">A limit lies on the wrong side of the resolution, or a number is not positive.</exception>
    public static BucketRule Of(DatasetOptions options)
    {
        var resolution = options.Resolution ?? throw new ArgumentException("resolution is missing.");
        if (!options.EnableBucket) return new([resolution], resolution.Area, 1, noUpscale: false);
        var (min, max) = Limits(resolution, options.MinBucketReso, options.MaxBucketReso, options.BucketResoSteps);
        return new(options.BucketNoUpscale ? [] : List(resolution, min, max, options.BucketResoSteps),
            resolution.Area, options.BucketResoSteps, options.BucketNoUpscale);
    }

    /// <summary>Widens the limits of a bucket's sides to multiples of <paramref name="step"/>.</summary>
    /// <exception cref="ArgumentException">A limit lies on the wrong side of the resolution; the message says which.</exception>
    public static (int Min, int Max) Limits(PixelSize resolution, int min, int max, int step)
    {
        if (step < 1) throw new ArgumentException($"bucket_reso_steps is {step}. Use a multiple of 8; 64 is usual.");
        (min, max) = (min - min % step, max % step == 0 ? max : max + step - max % step);
        if (min > Math.Min(resolution.Width, resolution.Height))
            throw new ArgumentException($"min_bucket_reso is {min}, above the resolution {resolution}. Use at most {Math.Min(resolution.Width, resolution.Height)}.");
        if (max < Math.Max(resolution.Width, resolution.Height))
            throw new ArgumentException($"max_bucket_reso is {max}, below the resolution {resolution}. Use at least {Math.Max(resolution.Width, resolution.Height)}.");
        return (min, max);
    }

    /// <summary>All sizes within the area of <paramref name="resolution"/> whose sides are multiples of the step, widest use of the area for each width.</summary>
    public static IReadOnlyList<PixelSize> List(PixelSize resolution, int min, int max, int step)
    {
        var square = (int)(Math.Sqrt(resolution.Area) / step) * step;
        var sizes = new HashSet<PixelSize> { new(square, square) };
        for (var width = min; width <= max; width += step)
        {
            if (width < 1) continue;
            var height = (int)Math.Min(max, resolution.Area / width / step * step);
            if (height < min || height < 1) continue;
            sizes.Add(new(width, height));
            sizes.Add(new(height, width));
        }
        return [.. sizes.OrderBy(size => size.Width).ThenBy(size => size.Height)];
    }

    /// <summary>The bucket of a picture.</summary>
    public BucketChoice Choose(PixelSize size)
    {
        if (noUpscale) return ChooseFromPicture(size);
        var aspect = (double)size.Width / size.Height;
        var bucket = size;
        if (!Predefined.Contains(size))
        {
            // The first of equals wins, so a strict comparison walking upwards.
            var best = double.PositiveInfinity;
            foreach (var candidate in Predefined)
            {
                var error = Math.Abs((double)candidate.Width / candidate.Height - aspect);
                if (error < best) (best, bucket) = (error, candidate);
            }
        }
        return new(bucket, Cover(size, bucket), (double)bucket.Width / bucket.Height - aspect);
    }

    /// <summary>The smallest size with the picture's aspect that covers a bucket.</summary>
    public static PixelSize Cover(PixelSize size, PixelSize bucket)
    {
        var wider = (double)size.Width / size.Height > (double)bucket.Width / bucket.Height;
        var scale = wider ? (double)bucket.Height / size.Height : (double)bucket.Width / size.Width;
        return new((int)(size.Width * scale + 0.5), (int)(size.Height * scale + 0.5));
    }

    /// <summary>Where the middle part of a resampled picture is cut.</summary>
    public static (int Left, int Top) CentreCrop(PixelSize resized, PixelSize bucket) =>
        (Math.Max(0, resized.Width - bucket.Width) / 2, Math.Max(0, resized.Height - bucket.Height) / 2);

    /// <summary>What kohya tells SDXL about the cut: the borders of the picture letter-boxed into its bucket, not the real cut (K-36).</summary>
    public static (double Left, double Top, double Right, double Bottom) ConditioningCrop(PixelSize bucket, PixelSize size)
    {
        var aspect = (double)size.Width / size.Height;
        var wider = (double)bucket.Width / bucket.Height > aspect;
        var (width, height) = wider ? (bucket.Height * aspect, (double)bucket.Height) : ((double)bucket.Width, bucket.Width / aspect);
        var (left, top) = (Math.Floor((bucket.Width - width) / 2), Math.Floor((bucket.Height - height) / 2));
        return (left, top, left + width, top + height);
    }

    private BucketChoice ChooseFromPicture(PixelSize size)
    {
        var aspect = (double)size.Width / size.Height;
        var resized = size.Area > area ? Shrink(aspect) : size;
        var bucket = new PixelSize(resized.Width - resized.Width % step, resized.Height - resized.Height % step);
        // kohya divides by zero where a side is shorter than one step; here it becomes one step and the picture is enlarged to cover it.
        if (bucket.Width == 0 || bucket.Height == 0)
        {
            bucket = new(Math.Max(step, bucket.Width), Math.Max(step, bucket.Height));
            resized = Cover(size, bucket);
        }
        return new(bucket, resized, (double)bucket.Width / bucket.Height - aspect);
    }

    // One side becomes a multiple of the step: the one that keeps the aspect better.
    private PixelSize Shrink(double aspect)
    {
        var width = Math.Sqrt(area * aspect);
        var (byWidth, byHeight) = (ToStep(width), ToStep(area / width));
        var (heightOfWidth, widthOfHeight) = (ToStep(byWidth / aspect), ToStep(byHeight * aspect));
        return Math.Abs((double)byWidth / heightOfWidth - aspect) < Math.Abs((double)widthOfHeight / byHeight - aspect)
            ? new(byWidth, (int)(byWidth / aspect + 0.5))
            : new((int)(byHeight * aspect + 0.5), byHeight);
    }

    private int ToStep(double side)
    {
        var rounded = (int)(side + 0.5);
        return rounded - rounded % step;
    }
}
