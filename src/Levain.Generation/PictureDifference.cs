namespace Levain.Generation;

/// <summary>How far two pictures differ.</summary>
public static class PictureDifference
{
    /// <summary>The share of channel values that differ by more than a threshold, and the difference as a picture.</summary>
    /// <param name="threshold">0 to 255.</param>
    /// <param name="white">Whether the picture is white where nothing differs, else black.</param>
    /// <exception cref="ArgumentException">The pictures are of two sizes.</exception>
    public static (double Share, Picture Picture) Of(Picture one, Picture other, int threshold, bool white = false)
    {
        if (one.Size != other.Size) throw new ArgumentException($"The pictures are {one.Size} and {other.Size} px large.", nameof(other));
        var (rgb, changed) = (new byte[one.Rgb.Length], 0);
        for (var i = 0; i < rgb.Length; i++)
        {
            var difference = Math.Abs(one.Rgb[i] - other.Rgb[i]);
            if (difference > threshold) changed++;
            rgb[i] = (byte)(white ? byte.MaxValue - difference : difference);
        }
        return ((double)changed / rgb.Length, new(one.Size, rgb));
    }

    /// <summary>Mean difference of channel values, as a share of their range, 0..1.</summary>
    /// <exception cref="ArgumentException">The pictures are of two sizes.</exception>
    public static double Mean(Picture one, Picture other)
    {
        if (one.Size != other.Size) throw new ArgumentException($"The pictures are {one.Size} and {other.Size} px large.", nameof(other));
        var sum = 0L;
        for (var i = 0; i < one.Rgb.Length; i++) sum += Math.Abs(one.Rgb[i] - other.Rgb[i]);
        return (double)sum / one.Rgb.Length / byte.MaxValue;
    }
}
