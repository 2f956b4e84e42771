using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using TorchSharp;

namespace Levain.Models;

/// <summary>Loads libtorch itself before TorchSharp does, because the loader's own words name the cause and TorchSharp's do not.</summary>
internal static partial class NativeLibraries
{
    /// <summary>Folder of native libraries beside the program.</summary>
    public static string Folder { get; } = FindFolder();

    /// <exception cref="EngineException">A library is missing or cannot be loaded.</exception>
    public static void Load()
    {
        var bridge = Path.Combine(Folder, FileName("LibTorchSharp"));
        if (!File.Exists(bridge))
            throw new EngineException($"{bridge} is missing. Run levain from the folder it was built into, or build it again; nothing else has to be installed.");
        try
        {
            NativeLibrary.Load(bridge);
            torch.InitializeDeviceType(DeviceType.CPU);
        }
        catch (Exception failure) when (failure is DllNotFoundException or BadImageFormatException or NotSupportedException or TypeInitializationException or EntryPointNotFoundException)
        {
            throw new EngineException(Explain(failure.GetBaseException().Message, bridge), failure);
        }
    }

    /// <summary>The loader's complaint as a cause and a remedy.</summary>
    internal static string Explain(string complaint, string library)
    {
        if (SymbolVersion().Match(complaint) is { Success: true } version)
        {
            var (name, wanted) = (version.Groups["family"].Value, version.Groups["version"].Value);
            return name == "GLIBC"
                ? $"libtorch needs glibc {wanted}, which this system is older than. Use a newer system (Debian 12, Ubuntu 22.04, RHEL 9 or later) or a container of one."
                : $"libtorch needs a libstdc++ that knows {name}_{wanted}, which this system's does not. Build levain again with its own build files, which mend this, or install libstdc++ of GCC 13.";
        }
        if (MissingFile().Match(complaint) is { Success: true } missing)
            return $"libtorch needs {missing.Groups["file"].Value}, which is not installed. {Remedy()}";
        return $"{Path.GetFileName(library)} cannot be loaded: {FirstLine(complaint)} {Remedy()}";
    }

    private static string Remedy() =>
        OperatingSystem.IsWindows() ? "Install the Visual C++ redistributable 2022 (x64), then try again."
        : OperatingSystem.IsLinux() ? "Install it by the system's package manager (libstdc++6, libgomp1), or build levain again if it belongs to libtorch."
        : "Build levain again; on macOS only arm64 is supported.";

    private static string FindFolder()
    {
        var system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux";
        var own = Path.Combine(AppContext.BaseDirectory, "runtimes", $"{system}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}", "native");
        return Directory.Exists(own) ? own : AppContext.BaseDirectory;      // a publish for one system lays them flat
    }

    private static string FileName(string library) =>
        OperatingSystem.IsWindows() ? $"{library}.dll" : OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";

    private static string FirstLine(string text)
    {
        var line = text.Split('\n', 2)[0].Trim();
        return line.EndsWith('.') ? line : line + ".";
    }

    [GeneratedRegex(@"version [`'](?<family>GLIBC|GLIBCXX|CXXABI)_(?<version>[\d.]+)' not found")]
    private static partial Regex SymbolVersion();

    [GeneratedRegex(@"(?<file>lib[\w.+-]+\.so[\w.]*): cannot open shared object file")]
    private static partial Regex MissingFile();
}
