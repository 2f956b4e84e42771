using Levain.Data;
using Levain.Tests.Data;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

public sealed class BaseNetworkTests
{
    [Fact]
    public void Latents_are_drawn_before_networks_are_merged_into_the_base()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder) with { Compatibility = Compatibility.Kohya, Training = new() { Steps = 1, Seed = 7, Precision = Precision.Fp32 } };
        var network = SmallRun.Make(settings).Result.Path!;

        List<string> latents(string name, params BaseNetwork[] networks)
        {
            var pictures = Directory.CreateDirectory(Path.Combine(folder.Path, name)).FullName;
            foreach (var file in Directory.EnumerateFiles(settings.Dataset.Folder!, "*", SearchOption.AllDirectories))
            {
                var copy = Path.Combine(pictures, Path.GetRelativePath(settings.Dataset.Folder!, file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }
            SmallRun.Make(settings with
            {
                Model = settings.Model with { Networks = networks },
                Dataset = settings.Dataset with { Folder = pictures },
                Cache = new() { Latents = LatentCache.Disk },
                Output = new() { Folder = pictures, Name = "small" },
            });
            return [.. Directory.EnumerateFiles(pictures, "*.npz", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(file => string.Join(' ', Npz.Read(file).First(pair => pair.Key.StartsWith("latents", StringComparison.Ordinal)).Value.Data))];
        }
        var plain = latents("plain");
        Assert.Equal(6, plain.Count);
        Assert.Equal(plain, latents("merged", new BaseNetwork { File = network }));
    }
}
