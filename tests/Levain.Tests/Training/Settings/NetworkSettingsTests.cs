using Levain.Core;
using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Settings;

public sealed class NetworkSettingsTests
{
    [Theory]
    [InlineData("family = \"lokrr\"", "network.family", "lokr")]
    [InlineData("dora = \"output\"", "network.dora", "locon, loha, lokr")]
    [InlineData("family = \"loha\"\n[network.lokr]\nfactor = 4", "network.lokr", "belongs to lokr")]
    [InlineData("family = \"lokr\"\n[network.lokr]\nfactor = 0", "network.lokr.factor", "4 to 8")]
    [InlineData("family = \"dylora\"\nrank = 6", "network.dylora.block", "divisor")]
    [InlineData("family = \"kohya_dylora\"\nrank = 4\nconv_rank = 2", "network.conv_rank", "the same in both")]
    [InlineData("family = \"locon\"\npreset = \"atn-mlp\"", "network.preset", "attn-mlp")]
    [InlineData("family = \"locon\"\npreset_file = \"none.toml\"", "network.preset_file", "TOML file")]
    [InlineData("family = \"locon\"\ndown_weights = [1]", "network.block_ranks", "include")]
    [InlineData("preset = \"full\"", "network.preset", "locon")]
    [InlineData("include = [\"(\"]", "network.include", "regular expression")]
    [InlineData("ranks_by_name = [\"attn2\"]", "network.ranks_by_name", "attn2=8")]
    [InlineData("family = \"full\"\nbypass = true", "network.bypass", "locon")]
    [InlineData("family = \"dora\"\nbypass = true", "network.bypass", "one of them")]
    [InlineData("family = \"orthogonal\"\nrank = 5", "network.rank", "even")]
    [InlineData("family = \"tlora\"\nrank = 4\n[network.tlora]\nmin_rank = 5", "network.tlora.min_rank", "network.rank")]
    public void What_cannot_work_is_told_with_its_mending(string table, string where, string fix)
    {
        var (settings, problems) = RunSettings.Parse($"[network]\n{table}\n", "run.toml", Path.GetTempPath());
        settings.Network.Check(problems.In("network"));
        var problem = Assert.Single(problems.All, problem => problem.Where.StartsWith(where));
        Assert.Contains(fix, problem.What + problem.Fix);
    }

    [Fact]
    public void A_rank_that_no_layer_of_the_base_can_have_is_told_before_a_weight_is_read()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder) with { Network = new() { Family = "kohya_oft", Rank = 5, Alpha = 0.01 } };
        var problems = new Problems();
        using var random = new RunRandom(1);
        Assert.Null(RunPlan.Make(settings, problems, random.Python));
        var problem = Assert.Single(problems.All);
        Assert.Equal("network.rank", problem.Where);
        Assert.Contains("does not divide the 32 outputs", problem.What);
    }

    [Fact]
    public void A_run_file_says_what_kohyas_command_line_says()
    {
        var (settings, problems) = RunSettings.Parse("""
            [network]
            family = "lokr"
            rank = 100000
            alpha = 1
            conv_rank = 100000
            preset = "attn-only"
            dora = "input"
            scalar = true
            rank_stabilized = true

            [network.lokr]
            factor = 8
            decompose_both = true
            """, "run.toml", Path.GetTempPath());
        settings.Network.Check(problems.In("network"));
        Assert.Empty(problems.All);
        var (kohya, _) = Levain.Training.Kohya.KohyaArguments.Read(
            ["--network_module", "lycoris.kohya", "--network_dim", "100000", "--network_alpha", "1", "--network_args", "algo=lokr", "conv_dim=100000", "preset=attn-only", "dora_wd=True",
             "wd_on_output=False", "use_scalar=True", "rs_lora=True", "factor=8", "decompose_both=True"], "train_network.py", File.ReadAllText);
        Assert.Equal(kohya.Network with { Preset = null }, settings.Network with { Preset = null });
        Assert.Equal("attn-only", kohya.Network.Preset);
        var options = settings.Network.ToOptions(wholeAlpha: false, Compat.Sound);
        Assert.Equal(new AdapterForm { Dora = DoraAxis.Input, Scalar = true, RankStabilized = true, Factor = 8, DecomposeBoth = true }, options.Form with { Block = 1 });
        Assert.Equal(LayerPresets.AttnOnly.Targets, options.Targets);
    }

    [Theory]
    [InlineData("algo=lokrr", "algo")]
    [InlineData("algo=locon conv_dim=x", "conv_dim")]
    public void An_argument_that_LyCORIS_cannot_read_is_told(string arguments, string where)
    {
        var (_, problems) = Levain.Training.Kohya.KohyaArguments.Read(["--network_module", "lycoris.kohya", "--network_args", .. arguments.Split(' ')], "train_network.py", File.ReadAllText);
        Assert.Contains(problems.All, problem => problem.Where == "--network_args." + where);
    }
}
