using System.Security.Cryptography;

namespace Levain.Generation;

/// <summary>What an infotext says of a picture that drawing began with: how it was used, and its hash, but neither the picture nor its mask.</summary>
/// <param name="Denoise">How much of it may change; null where it is not said.</param>
public sealed record ToldImg2Img(double? Denoise)
{
    private const string Folder = "init-images";
    private const int Levels = 3;

    /// <summary>md5 of its pixels, 32 digits; null where it is not said.</summary>
    public string? InitHash { get; init; }

    /// <summary>Factor of the noise laid on it.</summary>
    public double NoiseMultiplier { get; init; } = 1;

    /// <summary>Noise beyond what the sampler expects.</summary>
    public double ExtraNoise { get; init; }

    /// <summary>How a mask was used, over a blank one; null where none is mentioned.</summary>
    public InpaintOptions? Inpaint { get; init; }

    /// <summary>The fields of a text that speak of such a picture; null where they do not.</summary>
    internal static ToldImg2Img? Of(IReadOnlyDictionary<string, string> fields)
    {
        if (InfotextReader.AsksSecondPass(fields) || !fields.Keys.Any(key => key is "Denoising strength" or "Init image hash" || IsOfMask(key))) return null;
        var usual = new InpaintOptions(new(new(1, 1), [0]));
        return new(Number("Denoising strength"))
        {
            InitHash = fields.GetValueOrDefault("Init image hash"),
            NoiseMultiplier = Number("Noise multiplier") ?? 1,
            ExtraNoise = Number("Extra noise") ?? 0,
            Inpaint = !fields.Keys.Any(IsOfMask) ? null : usual with
            {
                Blur = Number("Mask blur") ?? 0,
                Invert = fields.GetValueOrDefault("Mask mode") == "Inpaint not masked",
                OnlyMasked = fields.GetValueOrDefault("Inpaint area") == "Only masked",
                Padding = (int)(Number("Masked area padding") ?? usual.Padding),
                Content = fields.GetValueOrDefault("Masked content") switch { "fill" => MaskedContent.Fill, "latent noise" => MaskedContent.LatentNoise, "latent nothing" => MaskedContent.LatentNothing, _ => MaskedContent.Original },
                ConditioningWeight = Number("Conditional mask weight") ?? 1,
            },
        };

        double? Number(string key) => InfotextReader.Number(fields.GetValueOrDefault(key));
    }

    /// <summary>Whether a field speaks of a mask.</summary>
    private static bool IsOfMask(string key) => key is "Mask blur" or "Mask mode" or "Inpaint area" or "Masked area padding" or "Masked content";

    /// <summary>The hash of a picture, as infotexts name it.</summary>
    /// <remarks>The webui's <c>Init image hash</c>: md5 of the pixels, red green blue.</remarks>
    public static string HashOf(Picture picture) => Convert.ToHexStringLower(MD5.HashData(picture.Rgb));

    /// <summary>The picture where the webui keeps it: <c>HASH.png</c> beside the drawn one, or in a folder <c>init-images</c> there or up to two levels above.</summary>
    /// <param name="drawn">The picture whose text this is.</param>
    /// <returns>Its path; null where it is not there.</returns>
    public string? FindBeside(string drawn)
    {
        if (InitHash is not { Length: 32 } hash || !hash.All(char.IsAsciiHexDigit)) return null;
        var file = $"{hash.ToLowerInvariant()}.png";
        var folders = new List<string>();
        for (var (folder, level) = (Path.GetDirectoryName(Path.GetFullPath(drawn)), 0); folder is not null && level < Levels; (folder, level) = (Path.GetDirectoryName(folder), level + 1))
            folders.AddRange(level == 0 ? [folder, Path.Combine(folder, Folder)] : [Path.Combine(folder, Folder)]);
        return folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }
}
