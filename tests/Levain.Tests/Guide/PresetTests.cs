using Levain.Core;
using Levain.Guide;
using Levain.Tests.Data;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Guide;

/// <summary>The guide's presets run as they are, and a run file on top of one says only what is its own.</summary>
public sealed class PresetTests
{
    private const string RunFile = """
        [model]
        base = "m.safetensors"
        [dataset]
        folder = "."
        """;

    public static TheoryData<string> Names => [.. Presets.All.Select(preset => preset.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_preset_has_no_problems_and_no_warnings_of_its_optimizer(string name)
    {
        var (settings, problems) = Read(name, RunFile);
        settings.Check(problems);
        // The base does not exist; the run file names it.
        Assert.DoesNotContain(problems.All, problem => !problem.Where.StartsWith("model.base", StringComparison.Ordinal));
        Assert.Empty(OptimizerAdvice.Of(settings, 1000));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_preset_written_as_a_run_file_is_the_same(string name)
    {
        var settings = Presets.Named(name)!.Settings;
        var text = (settings with { Output = settings.Output with { Folder = Path.GetFullPath("output") } }).ToToml(Environment.CurrentDirectory);
        var (again, problems) = RunSettings.Parse(text, "run.toml", Environment.CurrentDirectory);
        Assert.Empty(problems.All);
        Assert.Equal(text, again.ToToml(Environment.CurrentDirectory));
        Assert.Equal(settings.Optimizer.Type, again.Optimizer.Type);
    }

    [Fact]
    public void The_run_file_goes_before_the_preset()
    {
        var (settings, problems) = Read("easy_prodigy", RunFile + "\n[network]\nrank = 8\n[optimizer]\nd_coef = 8\n");
        Assert.Empty(problems.All);
        var prodigy = Assert.IsType<Levain.Training.ProdigyOptions>(settings.Optimizer.Options);
        Assert.Equal((8, 1.0, 8.0, true), (settings.Network.Rank, settings.Network.Alpha, prodigy.DCoef, prodigy.UseBiasCorrection));
    }

    private static (RunSettings Settings, Problems Problems) Read(string preset, string text)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "run.toml");
        File.WriteAllText(path, text);
        return RunSettings.ReadUpon(Presets.Named(preset)!.Settings, path);
    }
}
