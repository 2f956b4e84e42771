using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Trained;

public sealed class TrainedModelTests
{
    private static RunSettings Settings(TemporaryFolder folder, int steps) => SmallRun.Settings(folder) with { Trains = Trains.Model, Optimizer = new() { LearningRate = 1e-3 }, Training = new() { Steps = steps, Seed = 7, Precision = Precision.Fp32 } };

    [Theory]
    [InlineData(ResultFormat.Safetensors, "small.safetensors")]
    [InlineData(ResultFormat.Ckpt, "small.ckpt")]
    [InlineData(ResultFormat.Diffusers, "small")]
    [InlineData(ResultFormat.DiffusersBin, "small")]
    public void A_trained_model_is_read_back_as_it_was_written(ResultFormat format, string name)
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, 1) with { Output = new() { Folder = folder.Path, Name = "small", Format = format } };
        Dictionary<string, float[]> trained = [];
        var run = SmallRun.Make(settings, look: run => trained = ((TrainedModel)run.Trained).TensorsOf(ModelPart.UNet).Concat(((TrainedModel)run.Trained).TensorsOf(ModelPart.TextEncoder)).ToDictionary(pair => pair.Key, pair => pair.Value.contiguous().data<float>().ToArray()));
        Assert.Equal(Path.Combine(folder.Path, name), run.Result.Path);

        using var scope = NewDisposeScope();
        using var first = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu);
        using var again = StableDiffusion.Open(run.Result.Path!, Compute.Cpu);
        foreach (var (key, value) in again.UNet.named_parameters().Concat(again.TextEncoder.named_parameters())) Assert.True(trained[key].SequenceEqual(value.data<float>()), key);
        foreach (var ((key, now), (_, then)) in again.Vae.named_parameters().Zip(first.Vae.named_parameters())) Assert.True(now.eq(then).all().item<bool>(), key);
        Assert.False(first.UNet.named_parameters().First().parameter.eq(again.UNet.named_parameters().First().parameter).all().item<bool>());
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path, "*.tmp"));
    }

    [Fact]
    public void A_stopped_training_of_the_whole_model_ends_as_the_unbroken_one_with_the_text_encoder_resting_in_time()
    {
        using var whole = new TemporaryFolder();
        using var broken = new TemporaryFolder();
        RunSettings settings(TemporaryFolder folder) => Settings(folder, 4) with { Optimizer = new() { TextEncoderStop = StepsOrShare.Of(2), LearningRate = 1e-3, TextEncoderLearningRate = 1e-4 } };
        var unbroken = SmallRun.Make(settings(whole));
        SmallRun.Make(settings(broken), stopAfter: 1);
        var resumed = SmallRun.Make(settings(broken), resume: true);
        Assert.Equal(unbroken.Values, resumed.Values);

        using var shorter = new TemporaryFolder();
        var two = SmallRun.Make(settings(shorter) with { Training = new() { Steps = 2, Seed = 7, Precision = Precision.Fp32 } });
        var text = two.Values.Length - 3367104;                             // the text encoder's numbers lie last
        Assert.Equal(two.Values[text..], unbroken.Values[text..]);
        Assert.NotEqual(two.Values[..text], unbroken.Values[..text]);
    }

    [Theory]
    [InlineData(Compatibility.Sound, "1")]
    [InlineData(Compatibility.Kohya, "0")]
    public void The_last_checkpoint_counts_its_epoch_from_0_as_kohyas_does(Compatibility compatibility, string epoch)
    {
        using var folder = new TemporaryFolder();
        var run = SmallRun.Make(Settings(folder, 1) with { Compatibility = compatibility, Output = new() { Folder = folder.Path, Name = "small", Format = ResultFormat.Ckpt } });
        using var file = TensorFile.Open(run.Result.Path!);
        Assert.Equal((epoch, "1"), (file.Metadata["epoch"], file.Metadata["global_step"]));
    }

    [Theory]
    [InlineData(3, true)]
    [InlineData(4, false)]           // kohya never comes to this step
    public void Of_kohyas_stops_of_the_text_encoder_only_those_within_the_run_are_refused(int stop, bool refused)
    {
        using var folder = new TemporaryFolder();
        var problems = new Problems();
        var settings = Settings(folder, 4) with { Compatibility = Compatibility.Kohya, Optimizer = new() { TextEncoderStop = StepsOrShare.Of(stop), LearningRate = 1e-3 } };
        Levain.Training.Planning.RunPlan.Make(settings, problems, new(7));
        Assert.Equal(refused ? ["optimizer.text_encoder_stop"] : [], problems.All.Select(problem => problem.Where));
    }

    [Fact]
    public void Half_precision_trains_the_numbers_kept_in_full()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, 2);
        using var scope = NewDisposeScope();
        using var model = StableDiffusion.Open(settings.Model.Base!, new Compute(CPU, ScalarType.BFloat16), trainable: true);
        using var trained = new TrainedModel(settings, model);
        var weight = model.UNet.AdaptableLayers[0];
        using (no_grad()) trained.Values.add_(1e-4);
        trained.Forget();
        Assert.Equal(ScalarType.BFloat16, weight.Weight.dtype);
        weight.Weight.to_type(ScalarType.Float32).mul(3).sum().backward();
        trained.Gather();
        Assert.Equal(3.0f * weight.Weight.numel(), trained.Gradients.sum().item<float>(), 1e-3f * weight.Weight.numel());
        Assert.False(trained.Values.to_type(ScalarType.BFloat16).to_type(ScalarType.Float32).eq(trained.Values).all().item<bool>());
    }

    [Fact]
    public void Half_range_and_foreign_forms_are_refused()
    {
        using var folder = new TemporaryFolder();
        var problems = new Problems();
        (Settings(folder, 1) with { Training = new() { Precision = Precision.Fp16 } }).Check(problems);
        (SmallRun.Settings(folder) with { Output = new() { Folder = folder.Path, Format = ResultFormat.Diffusers } }).Check(problems);
        Assert.Equal(
            [
                "training.precision: is fp16, whose range is too small for the gradients of a whole model. Use bf16 where the machine has it, else fp32.",
                "output.format: is diffusers, which is no form of a trained network. Use safetensors, ckpt, pt.",
            ], problems.All.Select(problem => problem.ToString()));
    }
}
