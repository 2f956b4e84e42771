using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

public sealed class CommandLineTests
{
    [Fact]
    public void Help_goes_to_standard_output_and_names_every_command()
    {
        var help = LevainProcess.Run(".");
        Assert.True(help.Code == 0, help.ToString());
        Assert.Contains("doctor", help.Output);
        Assert.Empty(help.Error);
    }

    [Fact]
    public void An_unknown_command_names_the_nearest_and_exits_with_2()
    {
        var mistyped = LevainProcess.Run(".", "doctr");
        Assert.Equal(2, mistyped.Code);
        Assert.Contains("'doctr' is not a command of levain. Did you mean 'doctor'?", mistyped.Error);
        Assert.Empty(mistyped.Output);
    }

    [Fact]
    public void An_unknown_option_under_json_is_one_object()
    {
        var mistyped = LevainProcess.Run(".", "doctor", "--jsn", "--json");
        Assert.Equal(2, mistyped.Code);
        var told = JsonDocument.Parse(mistyped.Output).RootElement;
        Assert.False(told.GetProperty("ok").GetBoolean());
        Assert.Equal("'--jsn' is not understood by levain doctor. Did you mean '--json'?", told.GetProperty("errors")[0].GetString());
    }

    [Fact]
    public void The_doctor_finds_a_machine_that_can_train()
    {
        var doctor = LevainProcess.Run(".", "doctor", "--json");
        Assert.True(doctor.Code == 0, doctor.ToString());
        var findings = JsonDocument.Parse(doctor.Output).RootElement.GetProperty("findings").EnumerateArray()
            .ToDictionary(finding => finding.GetProperty("what").GetString()!, finding => finding.GetProperty("found").GetString()!);
        Assert.Superset(new HashSet<string> { "system", "processor", "memory", "disk", "libvips", "SkiaSharp", "libtorch", "GPU", "fp32", "bf16" }, findings.Keys.ToHashSet());
    }

    [Fact]
    public void A_run_file_with_several_mistakes_is_told_all_of_them()
    {
        var folder = Directory.CreateTempSubdirectory("levain-check-").FullName;
        File.WriteAllText(Path.Combine(folder, "run.toml"), "[model]\nbase = \"nowhere.safetensors\"\n[network]\nrnk = 8\n[dataset]\nfolder = \"pictures\"\n");
        var check = LevainProcess.Run(folder, "check", "run.toml", "--set", "training.steps=0");
        Assert.Equal(2, check.Code);
        Assert.Contains("run.toml(4,1) network.rnk: is not a known setting. Did you mean 'rank'?", check.Error);
        Assert.Contains("--set training.steps: is 0.", check.Error);
        Assert.Contains("model.base: names", check.Error);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData("RUN.toml: is an empty name. Name a file or folder.", "check", "")]
    [InlineData("--training: is an empty name. Name a file or folder.", "taste", "a", "--base", "no-such-base", "--training", "")]
    [InlineData("See: levain reg captions --help", "reg", "captions", "a", "--base", "no-such-base")]
    [InlineData("--lora-dir: names no-such-folder, which is no folder.", "sample", "--base", "no-such-base", "--prompt", "a", "--lora-dir", "no-such-folder")]
    [InlineData("--base: names no-such-base, which is not there.", "sample", "--base", "no-such-base", "--prompt", "a")]
    [InlineData("--vae: names no-such-vae, which is not there.", "reg", "class", "--base", "no-such-base", "--prompt", "a", "--vae", "no-such-vae")]
    [InlineData("--init: names ., which is no file.", "sample", "--base", "no-such-base", "--prompt", "a", "--init", ".")]
    [InlineData("--from: names ., which is no file.", "sample", "--base", "no-such-base", "--from", ".")]
    [InlineData("--prompts-file: names ., which is no file.", "sample", "--base", "no-such-base", "--prompts-file", ".")]
    public void Names_that_name_nothing_are_told(string words, params string[] command)
    {
        var outcome = LevainProcess.Run(Path.GetTempPath(), command);
        Assert.Equal(2, outcome.Code);
        Assert.Contains(words, outcome.Error);
    }
}
