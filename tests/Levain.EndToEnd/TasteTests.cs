using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

public sealed class TasteTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("levain-taste-").FullName;

    private static string Repository { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../.."));

    private static string Base => Path.Combine(Repository, "assets", "demo", "tiny-base.safetensors");

    private static string[] Drawing => ["--base", Base, "--sampler", "Euler", "--steps", "2", "--size", "64x64"];

    [Fact]
    public void A_tasting_leaves_a_page_figures_and_pictures_and_goes_on_where_it_was()
    {
        File.Copy(Path.Combine(Repository, "tests", "golden", "demo", "mochi-kohya.safetensors"), Path.Combine(folder, "mochi.safetensors"));
        File.Copy(Path.Combine(folder, "mochi.safetensors"), Path.Combine(folder, "mochi-000001.safetensors"));
        File.WriteAllText(Path.Combine(folder, "prompts.txt"), "{trigger}, 1girl, &portrait\n");
        string[] words = ["taste", "mochi.safetensors", .. Drawing, "--strengths", "0.5,1", "--seed", "1", "--prompts-file", "prompts.txt", "--training", Path.Combine(Repository, "assets", "demo", "mochi"), "--json"];
        var outcome = LevainProcess.Run(folder, words);
        Assert.True(outcome.Code == 0, outcome.ToString());
        var told = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal(10, told.GetProperty("drawn").GetInt32());              // (none + 2 files × 2 strengths) × with and without
        Assert.Equal(4, told.GetProperty("figures").GetArrayLength());
        Assert.All(told.GetProperty("figures").EnumerateArray(), one => Assert.True(one.GetProperty("change").GetDouble() > 0));
        var place = Path.Combine(folder, "tasting");
        var page = File.ReadAllText(Path.Combine(place, "index.html"));
        Assert.Contains("1girl, &amp;portrait", page);
        Assert.Contains("With “mochi”", page);
        foreach (var name in new[] { "figures.json", "pictures.json" }) Assert.True(File.Exists(Path.Combine(place, name)), name);
        Assert.Equal(10, Directory.GetFiles(Path.Combine(place, "pictures"), "*.png").Length);

        File.Delete(Directory.GetFiles(Path.Combine(place, "pictures"), "*.png").Order().First());
        Assert.Equal(1, JsonDocument.Parse(LevainProcess.Run(folder, words).Output).RootElement.GetProperty("drawn").GetInt32());
    }

    [Fact]
    public void Class_pictures_are_drawn_once_each_with_their_captions()
    {
        string[] words = ["reg", "class", .. Drawing, "-p", "1girl", "--count", "3", "-o", "reg/1_girl", "--json"];
        Assert.Equal(3, Drawn(words));
        File.Delete(Path.Combine(folder, "reg", "1_girl", "0002.png"));
        Assert.Equal(1, Drawn(words));
        Assert.Equal("1girl", File.ReadAllText(Path.Combine(folder, "reg", "1_girl", "0003.txt")));
    }

    [Fact]
    public void Caption_pictures_follow_the_training_pictures_without_the_trigger()
    {
        var pictures = Path.Combine(folder, "10_mochi");
        Directory.CreateDirectory(pictures);
        foreach (var name in new[] { "mochi_01.png", "mochi_01.txt", "mochi_02.png", "mochi_02.txt" }) File.Copy(Path.Combine(Repository, "assets", "demo", "mochi", name), Path.Combine(pictures, name));
        Assert.Equal(2, Drawn(["reg", "captions", "10_mochi", "--trigger", "mochi", .. Drawing, "-o", "reg/1_girl", "--json"]));
        var caption = File.ReadAllText(Path.Combine(folder, "reg", "1_girl", "mochi_01.txt"));
        Assert.Equal(File.ReadAllText(Path.Combine(pictures, "mochi_01.txt")).Trim().Replace("mochi, ", ""), caption);
    }

    [Fact]
    public void A_network_that_nobody_calls_is_asked_for_its_trigger()
    {
        const string Header = """{"lora_unet_mid_block_attentions_0_proj_in.alpha":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""";
        File.WriteAllBytes(Path.Combine(folder, "lora.safetensors"), [.. BitConverter.GetBytes((long)Header.Length), .. System.Text.Encoding.UTF8.GetBytes(Header), 0, 0, 128, 63]);
        var outcome = LevainProcess.Run(folder, ["taste", "lora.safetensors", .. Drawing]);
        Assert.Equal(2, outcome.Code);
        Assert.Contains("--trigger: is not given, and the file does not tell.", outcome.Error);
    }

    private int Drawn(string[] words)
    {
        var outcome = LevainProcess.Run(folder, words);
        Assert.True(outcome.Code == 0, outcome.ToString());
        return JsonDocument.Parse(outcome.Output).RootElement.GetProperty("drawn").GetInt32();
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
