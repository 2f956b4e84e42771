using System.Text;
using Levain.Core;

namespace Levain.Data;

/// <summary>The latents of a picture as kohya keeps them.</summary>
/// <param name="Latents">Drawn latents [C, h, w].</param>
/// <param name="Flipped">Those of the mirrored picture, or null.</param>
/// <param name="Mask">Alpha as 0..1, [H, W] in px, or null.</param>
/// <param name="Shape">C, h, w.</param>
internal sealed record KohyaLatents(float[] Latents, float[]? Flipped, float[]? Mask, long[] Shape);

/// <summary>kohya's latent cache: an <c>.npz</c> file beside each picture.</summary>
/// <remarks>sd-scripts, <c>library/strategy_base.py</c>. An added array names what the latents were made from, so that a changed picture or VAE is noticed;
/// kohya passes over it.</remarks>
internal static class KohyaLatentFile
{
    private const string KeyArray = "levain_key";

    /// <summary>Where the latents of a picture are: <c>stem.npz</c> if an old trainer left that, else with the size in the name.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="size">Its size, px.</param>
    /// <param name="ending">End of the name: <c>sd</c>, or <c>sdxl</c>, which kohya's train_db.py and fine_tune.py write for every base.</param>
    public static string PathOf(string picture, PixelSize size, string ending)
    {
        var stem = picture[..^Path.GetExtension(picture).Length];
        return File.Exists(stem + ".npz") ? stem + ".npz" : $"{stem}_{size.Width:0000}x{size.Height:0000}_{ending}.npz";
    }

    /// <summary>Reads a file; null where it is missing, damaged, lacks what is asked for, or was made from something else.</summary>
    public static KohyaLatents? Read(string path, string key, LatentSize size, bool flipped, bool mask)
    {
        if (!File.Exists(path)) return null;
        try
        {
            var arrays = Npz.Read(path);
            if (arrays.TryGetValue(KeyArray, out var own) && Encoding.ASCII.GetString(own.Data) != key) return null;
            // Newer kohya versions add the size of the latents to the names.
            var ending = arrays.ContainsKey("latents") ? "" : $"_{size.Height}x{size.Width}";
            if (!arrays.TryGetValue("latents" + ending, out var latents) || latents.Shape is not [_, var height, var width] || height != size.Height || width != size.Width) return null;
            if (flipped && !arrays.ContainsKey("latents_flipped" + ending) || mask && !arrays.ContainsKey("alpha_mask" + ending)) return null;
            return new(latents.ToFloats(), flipped ? arrays["latents_flipped" + ending].ToFloats() : null,
                mask ? arrays["alpha_mask" + ending].ToFloats() : null, [.. latents.Shape]);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or FormatException)
        {
            return null;
        }
    }

    /// <summary>Writes a file, keeping arrays of other programs that are already in it.</summary>
    public static void Write(string path, string key, KohyaLatents latents, PixelSize original, (double Left, double Top, double Right, double Bottom) crop, PixelSize size)
    {
        var arrays = new OrderedDictionary<string, NpyArray>();
        try
        {
            if (File.Exists(path)) foreach (var (name, array) in Npz.Read(path)) arrays[name] = array;
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            arrays.Clear();
        }
        arrays["latents"] = NpyArray.Of(latents.Latents, latents.Shape);
        arrays["original_size"] = NpyArray.Of([(long)original.Width, original.Height], 2);
        arrays["crop_ltrb"] = NpyArray.Of([crop.Left, crop.Top, crop.Right, crop.Bottom], 4);
        arrays.Remove("latents_flipped");
        arrays.Remove("alpha_mask");
        if (latents.Flipped is { } flipped) arrays["latents_flipped"] = NpyArray.Of(flipped, latents.Shape);
        if (latents.Mask is { } mask) arrays["alpha_mask"] = NpyArray.Of(mask, size.Height, size.Width);
        arrays[KeyArray] = NpyArray.Of(Encoding.ASCII.GetBytes(key));
        Npz.Write(path, arrays);
    }
}
