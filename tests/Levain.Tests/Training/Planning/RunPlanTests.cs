using Levain.Core;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Planning;

public sealed class RunPlanTests
{
    private static readonly string Folder = Path.Combine(Path.GetTempPath(), "levain-hollow-bases");

    private static (RunPlan? Plan, Problems Problems) Make(string text)
    {
        HollowBase.At(Path.Combine(Folder, "tiny_sd1.safetensors"));
        HollowBase.At(Path.Combine(Folder, "tiny_sdxl.safetensors"), "tiny_sdxl");
        var (settings, problems) = RunSettings.Parse(text.Replace("$PICTURES", Golden.Path("training", "dataset")), "run.toml", Folder);
        return (RunPlan.Make(settings.Seeded(1), problems, new PythonRandom(settings.Seeded(1).Training.Seed!.Value)), problems);
    }

    [Fact]
    public void A_plan_tells_pictures_length_files_and_cost()
    {
        var (plan, problems) = Make("""
            [model]
            base = "tiny_sd1.safetensors"
            [dataset]
            folder = "$PICTURES/train"
            resolution = 128
            min_bucket_reso = 64
            max_bucket_reso = 256
            [training]
            epochs = 3
            batch_size = 2
            [schedule]
            type = "cosine"
            warmup = "10%"
            [output]
            name = "cat"
            save_every_epochs = 2
            """);
        Assert.Empty(problems.All);
        Assert.Equal(new RunLength(12, 12, 36, 3), plan!.Length);
        Assert.Equal(3, plan.WarmupSteps);
        Assert.Equal(["cat-000002.safetensors", "cat.safetensors"], plan.Files.Select(file => Path.GetFileName(file.Path)));
        Assert.Equal((3_277_988, 16), (plan.Base.UNet, plan.Settings.Network.Rank));
        Assert.Equal(plan.Base.Adapters * 4, plan.Estimate.FileBytes);
        Assert.InRange(plan.Estimate.StepFlop, 1e8, 1e11);
        Assert.True(plan.Estimate.Seconds(50) > plan.Estimate.Seconds(100));
    }

    [Fact]
    public void Keeping_what_the_base_says_costs_a_second_picture_in_every_batch()
    {
        RunEstimate estimate(string loss) => Make($"""
            [model]
            base = "tiny_sd1.safetensors"
            [dataset]
            folder = "$PICTURES/square"
            resolution = 64
            enable_bucket = false
            [training]
            batch_size = 2
            {loss}
            """).Plan!.Estimate;
        Assert.Equal(1.5, estimate("[loss]\nkeep_prompt = \"cat\"").StepFlop / estimate("").StepFlop, 6);
    }

    [Theory]
    [InlineData(1, "1 step")]
    [InlineData(3, "3 steps")]
    public void Warnings_say_one_step_and_several_steps(int steps, string said)
    {
        var (plan, problems) = Make($"""
            [model]
            base = "tiny_sd1.safetensors"
            [dataset]
            folder = "$PICTURES/train"
            resolution = 128
            min_bucket_reso = 64
            max_bucket_reso = 256
            [training]
            steps = {steps}
            [schedule]
            type = "cosine"
            warmup = {steps}
            [output]
            name = "cat"
            save_every_steps = 10
            save_every_epochs = 1
            """);
        Assert.True(plan is not null, string.Join(Environment.NewLine, problems.All));
        Assert.Contains($"The warm-up lasts the whole run ({said}): the learning rate is never reached.", plan.Warnings);
        Assert.Contains($"output.save_every_steps is 10, more than the run's {said}: only the final file is written.", plan.Warnings);
        Assert.Contains("Saving every epoch in a run of 1: only the final file is written.", plan.Warnings);
    }

    [Fact]
    public void A_text_encoder_that_rests_takes_no_memory()
    {
        RunPlan plan(string part, string memory) => Make($"""
            [model]
            base = '{Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"))}'
            [dataset]
            folder = "$PICTURES/square"
            resolution = 64
            enable_bucket = false
            [network]
            train = "{part}"
            [training]
            memory = "{memory}"
            """).Plan!;
        long more(string memory)
        {
            const int BytesOfTrained = 16;
            var (both, rests) = (plan("both", memory), plan("unet", memory));
            return both.Estimate.PeakBytes - rests.Estimate.PeakBytes - BytesOfTrained * (both.Base.Adapters - rests.Base.Adapters);
        }
        Assert.Equal(sizeof(float) * plan("both", "fast").Base.TextEncoder, more("fast"));
        Assert.Equal(0, more("lean"));
    }

    [Fact]
    public void Files_to_begin_with_are_looked_at_before_the_base_is_opened()
    {
        var (plan, problems) = Make($"""
            [model]
            base = "tiny_sd1.safetensors"
            [[model.networks]]
            file = "nowhere.safetensors"
            [[model.networks]]
            file = "tiny_sd1.safetensors"
            [dataset]
            folder = "$PICTURES/train"
            [network]
            weights = "{Golden.Path("training", "lora_adamw.lora.safetensors")}"
            rank = 8
            """);
        Assert.Null(plan);
        Assert.Equal(
            [
                $"run.toml(4,1) model.networks[0].file: names {Path.Combine(Folder, "nowhere.safetensors")}, which is not there. Name a network file.",
                $"run.toml(6,1) model.networks[1].file: names {Path.Combine(Folder, "tiny_sd1.safetensors")}, which holds no adapters. Name a network file; levain inspect shows what a file is.",
                "run.toml(10,1) network.weights: has rank 4 at lora_te_text_model_encoder_layers_0_mlp_fc1, and the run asks for 8. Set network.rank_from_weights = true to take ranks from the file.",
            ], problems.All.Select(problem => problem.ToString()));
    }

    [Fact]
    public void Everything_wrong_is_told_at_once()
    {
        var (plan, problems) = Make("""
            [model]
            base = "tiny_sdxl.safetensors"
            clip_skip = 0
            [dataset]
            folder = "$PICTURES/nowhere"
            [network]
            rank = 0
            """);
        Assert.Null(plan);
        Assert.Equal(["model.clip_skip", "network.rank", "model.base"], problems.All.Take(3).Select(problem => problem.Where));
        Assert.Contains("SDXL", problems.All[2].What);
        Assert.EndsWith("nowhere", problems.All[3].Where);
        Assert.Contains("does not exist", problems.All[3].What);
    }

    [Fact]
    public void Buckets_that_cannot_be_are_told_by_their_setting()
    {
        var (_, problems) = Make("""
            [model]
            base = "tiny_sd1.safetensors"
            [dataset]
            folder = "$PICTURES/train"
            resolution = 2048
            """);
        Assert.Equal("run.toml(3,1) dataset.max_bucket_reso: is 1024, less than the resolution 2048x2048. Raise it to the resolution at least.", Assert.Single(problems.All).ToString());
    }
}
