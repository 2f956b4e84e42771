using System.Runtime.CompilerServices;
using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

/// <summary>Prompts that name networks, grids and the analysis of blocks, by the real program on the embedded base.</summary>
public sealed class GridTests : IDisposable
{
    private static readonly string Tests = Path.GetFullPath(Path.Combine(ThisFolder(), ".."));
    private readonly string folder = Directory.CreateTempSubdirectory("levain-grid-").FullName;

    private static string[] Common => ["--base", Path.Combine(Tests, "..", "assets", "demo", "tiny-base.safetensors"), "--lora-dir", Path.Combine(Tests, "golden", "demo"), "--size", "64x64", "--steps", "1", "--json"];

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_grid_is_drawn_once_and_told_in_JSON()
    {
        string[] command = ["grid", "--prompt", "1girl, LORA", "--x", "Prompt S/R=LORA,<lora:mochi-kohya:1>", "--y", "Seed=1-2", .. Common];
        var first = LevainProcess.Run(folder, command);
        Assert.True(first.Code == 0, first.ToString());
        Assert.Equal(4, JsonDocument.Parse(first.Output).RootElement.GetProperty("drawn").GetInt32());
        Assert.Equal(4, Directory.GetFiles(Path.Combine(folder, "grid-cells")).Length);
        using var told = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "grid.json")));
        Assert.Equal(24, told.RootElement.GetProperty("cells")[1].GetProperty("networks")[0].GetProperty("textEncoderLayers").GetInt32());

        var again = LevainProcess.Run(folder, command);
        Assert.Equal(0, JsonDocument.Parse(again.Output).RootElement.GetProperty("drawn").GetInt32());
        var wrong = LevainProcess.Run(folder, ["grid", "--prompt", "1girl", "--x", "Sed=1", .. Common]);
        Assert.Equal(2, wrong.Code);
        Assert.Contains("--x: 'Sed' is not known. Did you mean 'Seed'?", wrong.Error);
    }

    [Fact]
    public void Blocks_of_a_network_are_told_in_a_table_and_drawn()
    {
        var told = LevainProcess.Run(folder, ["blocks", Path.Combine(Tests, "golden", "demo", "mochi-kohya.safetensors"), "--prompt", "mochi, 1girl", "--blocks", "BASE OUT09-OUT10", .. Common]);
        Assert.True(told.Code == 0, told.ToString());
        Assert.Equal(["BASE", "OUT09", "OUT10"], JsonDocument.Parse(told.Output).RootElement.GetProperty("blocks").EnumerateArray().Select(block => block.GetProperty("block").GetString()));
        Assert.True(File.Exists(Path.Combine(folder, "blocks.png")));
    }

    [Fact]
    public void A_tasting_leaves_figures_a_page_and_its_pictures()
    {
        File.WriteAllText(Path.Combine(folder, "prompts.txt"), "{trigger}, 1girl, smile\n");
        var told = LevainProcess.Run(folder, ["taste", Path.Combine(Tests, "golden", "demo", "mochi-kohya.safetensors"), "--trigger", "mochi", "--prompts-file", "prompts.txt", "--strengths", "1",
            "--training", Path.Combine(Tests, "..", "assets", "demo", "mochi"), .. Common]);
        Assert.True(told.Code == 0, told.ToString());
        var figure = Assert.Single(JsonDocument.Parse(told.Output).RootElement.GetProperty("figures").EnumerateArray());
        Assert.True(figure.GetProperty("change").GetDouble() > 0 && figure.GetProperty("likeness").GetDouble() != 0);
        Assert.Equal(4, Directory.GetFiles(Path.Combine(folder, "tasting", "pictures")).Length);
        Assert.Contains("src=\"pictures/x2-y1-z2.png\"", File.ReadAllText(Path.Combine(folder, "tasting", "index.html")));
    }

    [Fact]
    public void A_tag_that_names_nothing_is_an_error_with_near_names()
    {
        var refused = LevainProcess.Run(folder, ["sample", "--prompt", "1girl <lora:mochi:1>", .. Common]);
        Assert.Equal(2, refused.Code);
        Assert.Contains("<lora:mochi:1> names 'mochi', which is not there. Did you mean 'mochi-kohya'?", refused.Error);
    }

    private static string ThisFolder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
