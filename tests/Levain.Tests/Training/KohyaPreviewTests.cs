using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Models;
using Levain.Models.Clip;
using Levain.Tests.Data;
using Levain.Tests.Training.Replays;
using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>Previews by the samplers that only kohya's programs have.</summary>
public sealed class KohyaPreviewTests
{
    [Fact]
    public void A_picture_is_the_samplers_own_walk_over_the_guided_model()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(TinyModel.Of("tiny_sd1"), Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        Tensor states(string prompt) => CaptionEncoding.Encode(model.TextEncoder, [TokenWindows.Of(ClipTokenizer.Instance.Encode(prompt), 75)], 1);
        var (cat, nothing) = (states("a cat"), states(""));
        foreach (var name in new[] { "pndm", "dpmsolver++", "dpmsingle", "ddim" })
        {
            var sampler = KohyaSamplers.Find(name)!;
            var drawn = pipeline.DrawLatent(new() { Prompt = "a cat", Seed = 5, Steps = 4, CfgScale = 3, Size = new(64, 64), Kohya = sampler });
            using var generator = new Generator(5);
            Tensor guess(Tensor x, double t, Tensor context) => model.UNet.call(x, full([1], (float)t), context);
            var walk = new KohyaWalk((x, t) => guess(x, t, nothing) + (guess(x, t, cat) - guess(x, t, nothing)) * 3, 4, NoiseSchedule.Sd1(), () => randn(1, 4, 8, 8, generator: generator));
            var expected = sampler.Walk(walk, randn(1, 4, 8, 8, generator: generator) * sampler.StartScale(walk));
            // 1e-4: rows go through the model together in one and singly in the other
            Assert.True((expected - drawn).abs().max().item<float>() <= 1e-4 * expected.abs().max().item<float>(), name);
        }
    }

    [Fact]
    public void A_run_draws_each_prompt_with_its_own_sampler()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        var run = SmallRun.Make(settings with
        {
            Training = settings.Training with { Steps = 1 },
            Samples = new() { EverySteps = 1, Sampler = "pndm", Prompts = [new() { Prompt = "cat", Steps = 2, Seed = 3 }, new() { Prompt = "cat", Steps = 2, Seed = 3, Sampler = "dpmsingle" }, new() { Prompt = "cat", Steps = 2, Seed = 3, Sampler = "euler" }] },
        });
        var files = run.Events.OfType<PictureDrawn>().Select(drawn => drawn.Path).ToList();
        Assert.Equal(3, files.Select(path => Convert.ToHexString(Picture.Open(path).Rgb)).Distinct().Count());
        Assert.Equal([false, false, true], files.Select(path => PictureFile.ReadText(path) is { Length: > 0 }));
    }

    [Fact]
    public void Pictures_before_the_first_step_are_of_epoch_0_and_open_seeds_are_drawn_anew()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        var run = SmallRun.Make(settings with
        {
            Training = settings.Training with { Steps = 1 },
            Optimizer = new() { LearningRate = 0 },
            Samples = new() { AtFirst = true, EverySteps = 1, Sampler = "ddim", Prompts = KohyaPrompts.Read("cat --s 1 --w 64 --h 64", "prompts.txt", new()) },
        });
        var files = run.Events.OfType<PictureDrawn>().Select(drawn => drawn.Path).ToList();
        Assert.Matches(@"^small_e000000_00_\d{14}\.png$", Path.GetFileName(files[0]));
        Assert.Matches(@"^small_000001_00_\d{14}\.png$", Path.GetFileName(files[1]));
        Assert.NotEqual(Picture.Open(files[0]).Rgb, Picture.Open(files[1]).Rgb);
    }

    [Fact]
    public void What_kohya_passes_over_in_prompts_is_passed_over_and_told()
    {
        var (problems, notes) = (new Problems(), new List<string>());
        var samples = KohyaPrompts.Read("a cat --d 3x --g 3 --l 1.2.3 --unknown 3 --D 4 --ss sharp\n #1 cat", "prompts.txt", problems, notes);
        Assert.Empty(problems.All);
        Assert.Equal([("a cat", 4L, 7.5, "ddim"), ("#1 cat", SamplePrompt.AnySeed, 7.5, null)], samples.Select(sample => (sample.Prompt, sample.Seed, sample.Guidance, sample.Sampler)));
        Assert.Equal(4, notes.Count);
        Assert.Equal([5, SamplePrompt.AnySeed], KohyaPrompts.Read("""["a cat --d 5", {"prompt": "a dog"}]""", "prompts.json", problems, notes).Select(sample => sample.Seed));
    }

    [Fact]
    public void Prompt_lines_name_samplers_and_those_that_fail_in_kohya_are_refused()
    {
        var problems = new Problems();
        var samples = KohyaPrompts.Read("a cat --ss k_euler_a\na dog --ss dpmsolver\n", "prompts.txt", problems);
        Assert.Equal(["euler_a", "dpmsolver"], samples.Select(sample => sample.Sampler));
        new SampleSettings { EverySteps = 1, Sampler = "dpmsolver++", Prompts = samples }.Check(problems);
        Assert.Equal(["prompts[1].sampler: is dpmsolver, at which kohya stops on an exception. Use dpmsolver++."], problems.All.Select(problem => problem.ToString()));
    }
}
