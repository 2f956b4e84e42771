using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Levain.Tests;

/// <summary>Finds recorded inputs and outputs in <c>tests/golden</c> of this checkout.</summary>
internal static class Golden
{
    /// <summary>The folder <c>tests/golden</c>.</summary>
    public static string Root { get; } = System.IO.Path.GetFullPath(System.IO.Path.Combine(ThisFolder(), "..", "golden"));

    /// <summary>A file or folder below <c>tests/golden</c>.</summary>
    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, .. parts]);

    /// <summary>A JSON file below <c>tests/golden</c>.</summary>
    public static JsonElement Json(params string[] parts)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path(parts)), new() { MaxDepth = 256 });
        return document.RootElement.Clone();
    }

    private static string ThisFolder([CallerFilePath] string file = "") => System.IO.Path.GetDirectoryName(file)!;
}
