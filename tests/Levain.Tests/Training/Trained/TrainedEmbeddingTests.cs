using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Trained;

public sealed class TrainedEmbeddingTests
{
    private static RunSettings Settings(TemporaryFolder folder, int steps, Compatibility compatibility = Compatibility.Sound) => SmallRun.Settings(folder) with
    {
        Trains = Trains.Embedding,
        Compatibility = compatibility,
        Embedding = new() { Token = "zzcat", Vectors = 2, InitWords = "cat dog", Template = WordTemplate.Object },
        Training = new() { Steps = steps, Seed = 7, Precision = Precision.Fp32 },
    };

    [Theory]
    [InlineData(ResultFormat.Safetensors, Compatibility.Sound, "small.safetensors")]
    [InlineData(ResultFormat.Pt, Compatibility.Sound, "small.pt")]
    [InlineData(ResultFormat.Pt, Compatibility.Kohya, "small.pt")]
    [InlineData(ResultFormat.Bin, Compatibility.Sound, "small.bin")]
    public void A_trained_word_is_read_back_in_each_form_and_can_be_trained_on(ResultFormat format, Compatibility compatibility, string name)
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, 2, compatibility) with { Output = new() { Folder = folder.Path, Name = "small", Format = format } };
        float[] vectors = [];
        var run = SmallRun.Make(settings, look: run => vectors = [.. ((TrainedEmbedding)run.Trained).Vectors.data<float>()]);
        Assert.Equal(Path.Combine(folder.Path, name), run.Result.Path);
        using (var word = TextualInversion.Read(run.Result.Path!)) Assert.Equal(vectors, word.Vectors.data<float>().ToArray());

        var on = settings with { Embedding = settings.Embedding with { Weights = run.Result.Path }, Output = new() { Folder = folder.Path, Name = "on" }, Optimizer = new() { LearningRate = 0.0, UnetLearningRate = 0, TextEncoderLearningRate = 1 } };
        float[] begun = [];
        SmallRun.Make(on with { Training = on.Training with { Steps = 1 } }, look: run => begun = [.. ((TrainedEmbedding)run.Trained).Vectors.data<float>()]);
        Assert.Equal(vectors, begun);
    }

    [Theory]
    [InlineData(Compatibility.Sound)]
    [InlineData(Compatibility.Kohya)]
    public void A_stopped_training_of_a_word_ends_as_the_unbroken_one(Compatibility compatibility)
    {
        using var whole = new TemporaryFolder();
        using var broken = new TemporaryFolder();
        var unbroken = SmallRun.Make(Settings(whole, 4, compatibility));
        SmallRun.Make(Settings(broken, 4, compatibility), stopAfter: 2);
        Assert.Equal(unbroken.Values, SmallRun.Make(Settings(broken, 4, compatibility), resume: true).Values);
    }

    [Theory]
    [InlineData(Compatibility.Sound)]
    [InlineData(Compatibility.Kohya)]
    public void A_schedule_free_optimizers_average_is_saved_unless_kohyas_file_is_asked_for(Compatibility compatibility)
    {
        using var folder = new TemporaryFolder();
        var optimizer = new OptimizerSettings { Type = "AdamWScheduleFree", LearningRate = 0.1 };
        float[] vectors = [];
        var run = SmallRun.Make(Settings(folder, 3, compatibility) with { Optimizer = optimizer }, look: run => vectors = [.. ((TrainedEmbedding)run.Trained).Vectors.data<float>()]);
        using var word = TextualInversion.Read(run.Result.Path!);
        Assert.Equal(compatibility is Compatibility.Kohya, vectors.SequenceEqual(word.Vectors.data<float>().ToArray()));
    }

    [Fact]
    public void A_word_of_another_length_is_told_before_the_model_is_opened()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, 1);
        var file = SmallRun.Make(settings).Result.Path!;
        var problems = new Problems();
        Assert.Null(Levain.Training.Planning.RunPlan.Make(settings with { Embedding = settings.Embedding with { Vectors = 1, Weights = file } }, problems, new(7)));
        Assert.Equal("embedding.weights: holds 2 vectors, and 1 is trained. Set embedding.vectors = 2, or begin with another word.", Assert.Single(problems.All).ToString());
    }

    [Fact]
    public void Previews_show_the_word_as_it_is_trained()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, 1) with { Optimizer = new() { LearningRate = 0.1 }, Samples = new() { EverySteps = 1, Prompts = [new() { Prompt = "a photo of zzcat", Steps = 1 }] } };
        var run = SmallRun.Make(settings);
        var preview = Picture.Open(run.Events.OfType<PictureDrawn>().Single().Path).Rgb;

        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu);
        byte[] drawn(params TextualInversion[] words)
        {
            using var pipeline = new GenerationPipeline(model) { Words = words };
            return pipeline.Draw(new() { Prompt = "a photo of zzcat", Seed = 1, Steps = 1, CfgScale = 7, Sampler = "euler_a", Size = new(64, 64) }).Picture.Rgb;
        }
        Assert.Equal(drawn(TextualInversion.Of("zzcat", TextualInversion.Read(run.Result.Path!).Vectors)), preview);
        Assert.NotEqual(drawn(), preview);
    }

    [Fact]
    public void Words_that_cannot_be_trained_are_told()
    {
        var problems = new Problems();
        new EmbeddingSettings().Check(problems);
        new EmbeddingSettings { Token = "cat", Vectors = 80, Weights = "/nowhere.pt" }.Check(problems);
        new EmbeddingSettings { Token = "cat" }.Check(problems);
        Assert.Equal(
            [
                "token: is not given. Name the word that captions will call it by: token = \"mycat\".",
                "vectors: is 80. Use 1 to 75; 2 to 8 suit most subjects.",
                "weights: names /nowhere.pt, which is not there. Name the file of a trained word.",
                "token: is \"cat\", and \"cat\" is a word of the tokenizer already. Choose another one, which nobody writes.",
            ], problems.All.Select(problem => problem.ToString()));
    }
}
