using System.Runtime.CompilerServices;
using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

public sealed class InspectTests
{
    private static readonly string Tests = Path.GetFullPath(Path.Combine(ThisFolder(), ".."));

    [Fact]
    public void A_LoRA_is_explained_to_people_and_to_programs()
    {
        var file = Path.Combine(Tests, "golden", "demo", "mochi-kohya.safetensors");
        var told = LevainProcess.Run(".", "inspect", file);
        Assert.True(told.Code == 0, told.ToString());
        Assert.StartsWith("mochi-kohya.safetensors is an SD 1.x LoRA.", told.Output);
        Assert.Contains("all finite", told.Output);
        Assert.Empty(told.Error);

        var json = JsonDocument.Parse(LevainProcess.Run(".", "inspect", "--json", file).Output).RootElement;
        Assert.Equal("lora", json.GetProperty("kind").GetProperty("content").GetString());
        Assert.Equal(16, json.GetProperty("network").GetProperty("blocks")[0].GetProperty("rank").GetInt32());
    }

    [Fact]
    public void A_hostile_pickle_is_refused_and_not_run()
    {
        var folder = Directory.CreateTempSubdirectory("levain-inspect-").FullName;
        var refused = LevainProcess.Run(folder, "inspect", Path.Combine(Tests, "golden", "files", "ckpt", "bad", "os_system.ckpt"));
        Assert.Equal(1, refused.Code);
        Assert.Contains("os.system", refused.Error);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        Directory.Delete(folder);
    }

    private static string ThisFolder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
