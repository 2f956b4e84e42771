using Levain.Core;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Settings;

public sealed class RunSettingsTests
{
    private const string EightLines = """
        [model]
        base = "sd15.safetensors"
        [dataset]
        folder = "pictures/mochi"
        [output]
        name = "mochi"
        [training]
        steps = 800
        """;

    private static (RunSettings Settings, Problems Problems) Read(string text, params string[] overrides)
    {
        var (settings, problems) = RunSettings.Parse(text, "run.toml", "/runs", overrides);
        settings.Check(problems);
        return (settings, problems);
    }

    [Fact]
    public void Eight_lines_are_a_run_file()
    {
        var (settings, problems) = Read(EightLines);
        Assert.Empty(problems.All);
        Assert.Equal(8, EightLines.Split('\n').Length);
        Assert.Equal("/runs/sd15.safetensors", settings.Model.Base);
        Assert.Equal("/runs/pictures/mochi", settings.Dataset.Folder);
        Assert.Equal("/runs/output", settings.Output.Folder);
        Assert.Equal(800, settings.Training.Steps);
        Assert.Equal(new OptimizerSettings().LearningRate, settings.Optimizer.LearningRate);
    }

    [Fact]
    public void Mistakes_are_told_together_each_with_its_place()
    {
        var (_, problems) = Read("""
            comapt = "kohya"
            [model]
            base = "a.safetensors"
            [network]
            rank = 0
            alpha = "four"
            dropuot = 0.1
            [dataset]
            folder = "p"
            [[datasets]]
            resolution = 512.0
            [[datasets.subsets]]
            image_dir = "x"
            num_repeat = 3
            """);
        Assert.Equal(
            [
                "run.toml(1,1) comapt: is not a known setting. Did you mean 'compat'?",
                "run.toml(5,1) network.rank: is 0. Use 1 to 1024; 16 suits most subjects.",
                """run.toml(6,1) network.alpha: is the text "four". Give a number.""",
                "run.toml(7,1) network.dropuot: is not a known setting. Did you mean 'dropout'?",
                "run.toml(11,1) datasets[0].resolution: is the number 512. Give a whole number of px, or [width, height].",
                "run.toml(14,1) datasets[0].subsets[0].num_repeat: is not a known setting. Did you mean 'num_repeats'?",
            ],
            problems.All.OrderBy(problem => int.Parse(problem.Origin!.Split('(', ',')[1])).Select(problem => problem.ToString()));
    }

    [Fact]
    public void A_file_that_is_not_toml_says_where()
    {
        var (_, problems) = Read("[model\nbase = 'x'\n");
        Assert.StartsWith("run.toml(1,", problems.All[0].Where);
    }

    [Fact]
    public void Set_goes_before_the_file()
    {
        var (settings, problems) = Read(EightLines, "network.rank=8", "output.name=other", "schedule.type=linear", "schedule.warmup=5%", "loss.type=smooth_l1", "network.down_weights=[0,1,1,1,1,1,1,1,1,1,1,1]");
        Assert.Empty(problems.All);
        Assert.Equal((8, "other", 0.05, LossType.SmoothL1), (settings.Network.Rank, settings.Output.Name, settings.Schedule.Warmup.Share, settings.Loss.Type));
        Assert.Equal(0, settings.Network.ToOptions(wholeAlpha: false, Compat.Sound).BlockRates!.Weights[0]);
    }

    [Fact]
    public void What_is_written_reads_back_the_same()
    {
        var (settings, problems) = Read("""
            compat = "kohya"
            [model]
            base = "m/sd15.safetensors"
            clip_skip = 2
            [network]
            rank = 4
            alpha = 2
            up_weights = "sine+.25"
            mid_weight = 2
            [optimizer]
            learning_rate = 4e-3
            betas = [0.9, 0.99]
            [schedule]
            type = "cosine_with_restarts"
            warmup = 0.1
            [training]
            seed = 42
            memory = "lean"
            [general]
            enable_bucket = true
            [[datasets]]
            resolution = [512, 768]
            [[datasets.subsets]]
            image_dir = "a \"quoted\" folder"
            num_repeats = 2
            [[datasets.subsets]]
            image_dir = "/elsewhere"
            is_reg = true
            [[datasets]]
            resolution = 512
            caption_prefix = "art,"
            [[datasets.subsets]]
            image_dir = "b"
            [[samples.prompts]]
            prompt = "a cat"
            """);
        Assert.Empty(problems.All);
        var text = settings.ToToml("/runs");
        var (again, none) = Read(text);
        Assert.Empty(none.All);
        Assert.Equal(text, again.ToToml("/runs"));
        Assert.Contains("base = \"m/sd15.safetensors\"", text);
        Assert.Contains("up_weights = \"sine+0.25\"", text);
        Assert.Contains("image_dir = \"/elsewhere\"", text);
        Assert.Equal(settings.Datasets[0].Subsets[0], again.Datasets[0].Subsets[0]);
        Assert.Equal(new PixelSize(512, 768), again.Datasets[0].Resolution);
    }

    [Theory]
    [InlineData("100", 100, 40, 100)]
    [InlineData("0.1", null, 40, 4)]
    [InlineData("5%", null, 50, 2)]
    [InlineData("0", 0, 40, 0)]
    public void Steps_and_shares_read_as_kohya_reads_them(string text, int? steps, int total, int resolved)
    {
        var length = StepsOrShare.Parse(text)!;
        Assert.Equal(steps, length.Steps);
        Assert.Equal(resolved, length.Resolve(total));
    }

    [Theory]
    [InlineData("1.5")]
    [InlineData("100.0")]
    [InlineData("-1")]
    [InlineData("many")]
    public void What_is_neither_steps_nor_share_is_not_read(string text) => Assert.Null(StepsOrShare.Parse(text));
}
