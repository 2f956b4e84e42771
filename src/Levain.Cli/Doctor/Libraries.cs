using SkiaSharp;

namespace Levain.Cli.Doctor;

/// <summary>The native libraries Levain brings along: whether they lie where they should, and load.</summary>
internal static class Libraries
{
    /// <summary>Picture libraries; the engine's own are <see cref="EngineRoom"/>'s.</summary>
    public static IEnumerable<Finding> All =>
    [
        Try("libvips", () => $"{NetVips.NetVips.Version(0)}.{NetVips.NetVips.Version(1)}.{NetVips.NetVips.Version(2)}"),
        Try("SkiaSharp", () => SkiaSharpVersion.Native.ToString()),
    ];

    private static Finding Try(string name, Func<string> version)
    {
        try
        {
            return new(name, version());
        }
        catch (Exception failure) when (failure is TypeInitializationException or DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
        {
            return new(name, $"cannot be loaded: {failure.GetBaseException().Message}",
                $"Pictures cannot be read without it. Its file belongs beside {AppContext.BaseDirectory}levain: build or unpack again.", Blocks: true);
        }
    }
}
