namespace Levain.Generation;

/// <summary>Axes of the webui that have nothing to change here, each with the reason.</summary>
public static class RefusedAxes
{
    /// <summary>Names and reasons, in the webui's order.</summary>
    public static IReadOnlyDictionary<string, string> All { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["Image CFG Scale"] = "It belongs to models that edit pictures by instructions (InstructPix2Pix), which are not read here.",
        ["Face restore"] = "No network that redraws faces is read here; draw them anew with --mask and --only-masked.",
        ["Token merging ratio"] = "It trades exactness for speed by leaving out parts of the picture, and a test of a LoRA should not.",
        ["Token merging ratio high-res"] = "It trades exactness for speed by leaving out parts of the picture, and a test of a LoRA should not.",
        ["FP8 mode"] = "It rounds weights to save memory of graphics cards, which changes pictures; weights are computed with as the file has them.",
    };
}
