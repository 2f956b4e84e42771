using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Data;

/// <summary>Turns decided batches into tensors. Draws nothing, so it may work on another thread.</summary>
internal static class BatchReader
{
    // (value/255 − 0.5)/0.5 in single precision, as ToTensor and Normalize compute it.
    private static readonly float[] Normalized = [.. Enumerable.Range(0, 256).Select(value => (value / 255f - 0.5f) / 0.5f)];

    /// <summary>Decodes the pictures of a batch.</summary>
    /// <exception cref="DatasetException">A picture cannot be read any more.</exception>
    public static Batch Read(DatasetPart part, BatchPlan plan, Compat compat)
    {
        var plane = (int)plan.Size.Area;
        var pixels = new float[plan.Samples.Count * 3 * plane];
        var masked = plan.Samples.Any(sample => OptionsOf(part, sample).AlphaMask || part.Images[sample.Image].Mask is not null);
        var masks = masked ? new float[plan.Samples.Count * plane] : null;
        if (masks is not null) Array.Fill(masks, 1);
        for (var i = 0; i < plan.Samples.Count; i++)
        {
            var picture = ReadPicture(part, plan.Samples[i], plan.Size, compat);
            Spread(picture, pixels.AsSpan(i * 3 * plane, 3 * plane));
            if (part.Images[plan.Samples[i].Image].Mask is { } mask) SpreadMask(ReadMask(part, plan.Samples[i], mask, plan.Size, compat), masks.AsSpan(i * plane, plane));
            else if (picture.Channels == 4) SpreadAlpha(picture, masks.AsSpan(i * plane, plane));
        }
        var (height, width) = (plan.Size.Height, plan.Size.Width);
        return new(plan.Size, plan.Samples)
        {
            Images = tensor(pixels, [plan.Samples.Count, 3, height, width]),
            Masks = masks is null ? null : tensor(masks, [plan.Samples.Count, height, width]),
        };
    }

    /// <summary>A picture resampled, cut, coloured and mirrored as decided.</summary>
    public static Pixels ReadPicture(DatasetPart part, Sample sample, PixelSize size, Compat compat)
    {
        var options = OptionsOf(part, sample);
        var read = Decode(sample.Path, compat, options.AlphaMask);
        var resized = Resampling.Resize(read.Pixels, sample.Resized, options.ResizeInterpolation ?? part.Options.ResizeInterpolation);
        var picture = resized.Crop(sample.CropLeft, sample.CropTop, size);
        sample.Color?.Apply(picture);
        if (sample.Flipped) picture.Flip();
        return picture;
    }

    /// <summary>A sample's mask, resampled, cut and mirrored as its picture.</summary>
    public static Pixels ReadMask(DatasetPart part, Sample sample, string path, PixelSize size, Compat compat)
    {
        var read = Decode(path, compat, alpha: false).Pixels;
        var stretched = compat.MasksApart;
        var resized = stretched ? Stretch(read, size, part.Options) : Resampling.Resize(read, sample.Resized, OptionsOf(part, sample).ResizeInterpolation ?? part.Options.ResizeInterpolation);
        var mask = stretched ? resized : resized.Crop(sample.CropLeft, sample.CropTop, size);
        if (sample.Flipped)
        {
            if (ReferenceEquals(mask, read)) mask = mask with { Data = [.. mask.Data] };
            mask.Flip();
        }
        return mask;
    }

    // K-22: the whole mask to the bucket's size, whatever was cut from the picture, in the dataset's way; without buckets its sides are taken for each other.
    private static Pixels Stretch(Pixels mask, PixelSize size, DatasetOptions options)
    {
        var (width, height) = options.EnableBucket ? (mask.Width, mask.Height) : (mask.Height, mask.Width);
        return Resampling.Resize(mask, size, options.ResizeInterpolation ?? (width >= size.Width && height >= size.Height ? "area" : "lanczos"));
    }

    /// <summary>Values −1..1 of red, green and blue, one plane behind the other.</summary>
    public static void Spread(Pixels picture, Span<float> planes)
    {
        var (data, channels, plane) = (picture.Data, picture.Channels, (int)picture.Size.Area);
        var red = planes[..plane];
        var green = planes.Slice(plane, plane);
        var blue = planes.Slice(2 * plane, plane);
        for (int i = 0, at = 0; i < plane; i++, at += channels)
        {
            red[i] = Normalized[data[at]];
            green[i] = Normalized[data[at + 1]];
            blue[i] = Normalized[data[at + 2]];
        }
    }

    /// <summary>Alpha as 0..1.</summary>
    public static void SpreadAlpha(Pixels picture, Span<float> plane)
    {
        for (int i = 0, at = 3; i < plane.Length; i++, at += 4) plane[i] = picture.Data[at] / 255f;
    }

    /// <summary>Red as 0..1; kohya takes it back from −1..1.</summary>
    public static void SpreadMask(Pixels mask, Span<float> plane)
    {
        for (int i = 0, at = 0; i < plane.Length; i++, at += mask.Channels) plane[i] = Normalized[mask.Data[at]] / 2 + 0.5f;
    }

    private static SubsetOptions OptionsOf(DatasetPart part, Sample sample) => part.Subsets[part.Images[sample.Image].Subset].Options;

    private static ReadImage Decode(string path, Compat compat, bool alpha)
    {
        try
        {
            return ImageReader.Read(path, compat, alpha);
        }
        catch (ImageException e)
        {
            throw new DatasetException(path, e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(path, $"cannot be opened any more: {e.Message}", e);
        }
    }
}
