using Levain.Core;

namespace Levain.Data;

/// <summary>A face named in a file name (<c>name_cx_cy_w_h.png</c>), and the cut around it.</summary>
/// <param name="CentreX">Centre of the face, px from the left.</param>
/// <param name="CentreY">Centre of the face, px from the top.</param>
/// <param name="Width">Width of the face, px.</param>
/// <param name="Height">Height of the face, px.</param>
/// <remarks>sd-scripts, <c>library/train_util.py</c>, <c>crop_target</c>.</remarks>
public readonly record struct FaceBox(int CentreX, int CentreY, int Width, int Height)
{
    private const int SmallFace = 40;

    /// <summary>The face of a file name, or null where its last four parts are no numbers.</summary>
    public static FaceBox? Of(string path)
    {
        var parts = Path.GetFileNameWithoutExtension(path).Split('_');
        if (parts.Length < 5) return null;
        var numbers = new int[4];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (!PythonText.TryInt(parts[parts.Length - 4 + i], out var number) || number > int.MaxValue || number < int.MinValue) return null;
            numbers[i] = (int)number;
        }
        return new(numbers[0], numbers[1], numbers[2], numbers[3]);
    }

    /// <summary>Size to resample a picture to and the corner of the cut, drawing as kohya does.</summary>
    /// <param name="picture">Size of the picture, px.</param>
    /// <param name="target">Size of the cut, px; no larger than the picture.</param>
    /// <param name="range">Sides of the cut divided by the side of the face, at least and at most.</param>
    /// <param name="randomCrop">Move the cut far from the face's centre.</param>
    /// <param name="random">Source of scale and place.</param>
    public (PixelSize Resized, int Left, int Top) Cut(PixelSize picture, PixelSize target, (double Low, double High) range, bool randomCrop, PythonRandom random)
    {
        if (picture == target) return (picture, 0, 0);
        var face = Math.Max(Width, Height);
        var side = Math.Min(target.Width, target.Height);
        var smallest = Math.Max((double)target.Height / picture.Height, (double)target.Width / picture.Width);
        smallest = Math.Min(1, Math.Max(smallest, side / (face * range.High)));
        var largest = Math.Min(1, Math.Max(smallest, side / (face * range.Low)));
        var scale = smallest >= largest ? smallest : random.Uniform(smallest, largest);

        var resized = new PixelSize((int)(picture.Width * scale + 0.5), (int)(picture.Height * scale + 0.5));
        var top = Place((int)(CentreY * scale + 0.5), target.Height, resized.Height);
        var left = Place((int)(CentreX * scale + 0.5), target.Width, resized.Width);
        return (resized, left, top);

        int Place(int centre, int length, int whole)
        {
            var start = centre - length / 2;
            if (randomCrop)
            {
                var reach = Math.Max(whole - centre, centre);
                start += (int)(random.RandInt(0, reach) + random.RandInt(0, reach)) - reach;
            }
            else if (range.Low != range.High && face > side / 10 && face >= SmallFace)
            {
                // Python rounds the negative bound down.
                start += (int)random.RandInt((int)Math.Floor(-face / 20.0), face / 20);
            }
            return Math.Clamp(start, 0, Math.Max(0, whole - length));
        }
    }
}
