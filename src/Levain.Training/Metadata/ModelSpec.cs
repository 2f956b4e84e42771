using System.Globalization;
using Levain.Core;

namespace Levain.Training.Metadata;

/// <summary>The <c>modelspec.*</c> keys: what a model file is, for programs that list models.</summary>
/// <remarks>Stability AI model metadata standard 1.0.1, as kohya-ss/sd-scripts <c>library/sai_model_spec.py</c> fills it.</remarks>
public sealed record ModelSpec
{
    private const string Generative = "https://github.com/Stability-AI/generative-models", Diffusers = "diffusers";

    /// <summary>The base is SD 2.x.</summary>
    public bool V2 { get; init; }

    /// <summary>The base predicts velocity.</summary>
    public bool VParameterization { get; init; }

    /// <summary>The base is SDXL.</summary>
    public bool Sdxl { get; init; }

    /// <summary>It is a LoRA.</summary>
    public bool Lora { get; init; } = true;

    /// <summary>It is a textual inversion.</summary>
    public bool TextualInversion { get; init; }

    /// <summary>A whole model in the layout of a single file; false: in diffusers' layout.</summary>
    public bool SingleFile { get; init; } = true;

    /// <summary>Title; null: what it is, and when it was made.</summary>
    public string? Title { get; init; }

    /// <summary>Size it was trained at, px; null: the base's own.</summary>
    public PixelSize? Resolution { get; init; }

    /// <summary>Author.</summary>
    public string? Author { get; init; }

    /// <summary>Description.</summary>
    public string? Description { get; init; }

    /// <summary>Licence.</summary>
    public string? License { get; init; }

    /// <summary>Tags with commas between.</summary>
    public string? Tags { get; init; }

    /// <summary>What it was merged from.</summary>
    public string? MergedFrom { get; init; }

    /// <summary>First and last timestep trained; null: all.</summary>
    public (int From, int To)? Timesteps { get; init; }

    /// <summary>Text-encoder layer from the end; null: the last.</summary>
    public int? ClipSkip { get; init; }

    /// <summary>When it was made, seconds since 1970.</summary>
    public double Timestamp { get; init; }

    /// <summary>Time zone of the date. Default the machine's.</summary>
    public TimeZoneInfo Zone { get; init; } = TimeZoneInfo.Local;

    /// <summary>Program that made it. Default what kohya writes outside a checkout of its own.</summary>
    public string ImplementationVersion { get; init; } = "sd-scripts/unknown";

    /// <summary>Further keys without their prefix: <c>usage_hint</c>, <c>trigger_phrase</c>, <c>thumbnail</c> (a file, or a data URL), …; null values are left out.</summary>
    public IReadOnlyList<KeyValuePair<string, string?>> More { get; init; } = [];

    /// <summary>The keys and values.</summary>
    public OrderedDictionary<string, string> Build()
    {
        var texts = new OrderedDictionary<string, string>();
        texts["modelspec.sai_model_spec"] = "1.0.1";
        texts["modelspec.architecture"] = Architecture + (Lora ? "/lora" : TextualInversion ? "/textual-inversion" : "");
        texts["modelspec.implementation"] = Sdxl && Lora || TextualInversion || !Lora && SingleFile ? Generative : Diffusers;
        texts["modelspec.implementation_version"] = ImplementationVersion;
        texts["modelspec.title"] = Title ?? $"{(Lora ? "LoRA" : TextualInversion ? "TextualInversion" : "Checkpoint")}@{PythonText.Repr(Timestamp)}";
        var own = Sdxl ? 1024 : V2 && VParameterization ? 768 : 512;
        var size = Resolution ?? new(own, own);
        texts["modelspec.resolution"] = $"{size.Width}x{size.Height}";
        texts["modelspec.date"] = TimeZoneInfo.ConvertTime(DateTimeOffset.FromUnixTimeSeconds((long)Timestamp), Zone).ToString("yyyy-MM-ddTHH:mm:ss", CultureInfo.InvariantCulture);
        texts["modelspec.prediction_type"] = VParameterization ? "v" : "epsilon";
        Put("author", Author);
        Put("description", Description);
        Put("license", License);
        Put("tags", Tags);
        Put("merged_from", MergedFrom);
        Put("timestep_range", Timesteps is var (from, to) ? $"{from},{to}" : null);
        Put("encoder_layer", ClipSkip?.ToString(CultureInfo.InvariantCulture));
        foreach (var (key, value) in More) Put(key, key == "thumbnail" ? Thumbnail(value) : value);
        return texts;

        void Put(string key, string? value)
        {
            if (value is not null) texts[$"modelspec.{key}"] = value;
        }
    }

    private string Architecture => (Sdxl, V2, VParameterization) switch
    {
        (true, _, _) => "stable-diffusion-xl-v1-base",
        (_, true, true) => "stable-diffusion-v2-768-v",
        (_, true, false) => "stable-diffusion-v2-512",
        _ => "stable-diffusion-v1",
    };

    // A file becomes a data URL; one that is not there is left out.
    private static string? Thumbnail(string? value)
    {
        if (value is null || value.StartsWith("data:", StringComparison.Ordinal)) return value;
        if (!File.Exists(value)) return null;
        var type = Path.GetExtension(value).ToLowerInvariant() switch { ".png" => "png", ".webp" => "webp", ".gif" => "gif", _ => "jpeg" };
        return $"data:image/{type};base64,{Convert.ToBase64String(File.ReadAllBytes(value))}";
    }
}
