using Levain.Core;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Optimization;

/// <summary>An optimizer, its rates and the schedule are looked at together, before a model is opened.</summary>
public sealed class OptimizerAdviceTests
{
    private static OptimizerSettings Of(string type, double rate = 1) => new() { Type = type, LearningRate = rate };

    [Theory]
    [InlineData("Prodigy")]
    [InlineData("DAdaptAdam")]
    [InlineData("DAdaptLion")]
    public void Rates_that_differ_are_refused_where_one_step_length_is_found(string type)
    {
        RunSettings[] runs =
        [
            new() { Optimizer = Of(type) with { TextEncoderLearningRate = 0.5 } },
            new() { Optimizer = Of(type), Network = new() { LoraPlusRatio = 16 } },
            new() { Optimizer = Of(type), Network = new() { MidWeight = (BlockCurve)BlockCurve.Read(0.5)! } },
        ];
        foreach (var run in runs)
        {
            var problems = new Problems();
            OptimizerAdvice.Check(run, problems);
            Assert.Contains("one step length for all parts", Assert.Single(problems.All).What);
        }
        var fine = new Problems();
        OptimizerAdvice.Check(new() { Optimizer = Of(type) with { TextEncoderLearningRate = 0 } }, fine);
        OptimizerAdvice.Check(new() { Optimizer = Of("AdamW", 1e-4) with { TextEncoderLearningRate = 5e-5 } }, fine);
        // A whole model is one group where its text encoder is not trained, or has no rate of its own.
        foreach (var run in new RunSettings[]
        {
            new() { Trains = Trains.Model, FineTune = new() { TextEncoder = false }, Optimizer = Of(type) with { TextEncoderLearningRate = 0.5 } },
            new() { Trains = Trains.Model, Optimizer = Of(type) with { UnetLearningRate = 0.5 }, Network = new() { LoraPlusRatio = 16 } },
            new() { Trains = Trains.Embedding, Optimizer = Of(type) with { TextEncoderLearningRate = 0.5 } },
        }) OptimizerAdvice.Check(run, fine);
        Assert.Empty(fine.All);
        var two = new Problems();
        OptimizerAdvice.Check(new() { Trains = Trains.Model, Optimizer = Of(type) with { TextEncoderLearningRate = 0.5 } }, two);
        Assert.Single(two.All);
    }

    [Fact]
    public void What_fights_is_told()
    {
        void Told(string words, RunSettings run, int steps = 2000) => Assert.Contains(OptimizerAdvice.Of(run, steps), warning => warning.Contains(words));
        Told("learn next to nothing", new() { Optimizer = Of("Prodigy", 1e-4) });
        Told("may learn too little", new() { Optimizer = Of("DAdaptAdam"), Schedule = new() { Type = ScheduleType.Cosine } });
        Told("starts again", new() { Optimizer = Of("Prodigy"), Schedule = new() { Type = ScheduleType.CosineWithRestarts } });
        Told("safeguard_warmup", new() { Optimizer = Of("Prodigy"), Schedule = new() { Type = ScheduleType.ConstantWithWarmup, Warmup = StepsOrShare.Part(0.1) } });
        Told("for all parts", new() { Optimizer = Of("DAdaptAdan") with { TextEncoderLearningRate = 0.5 } });
        Told("not looked at", new() { Optimizer = Of("AdaFactor", 1e-4), Schedule = new() { Type = ScheduleType.Cosine } });
        Told("learns weakly", new() { Optimizer = Of("AdaFactor", 1e-4) }, steps: 500);
        Told("far too slow", new() { Optimizer = Of("SGDNesterov", 1e-2) });
        Told("odd colours", new() { Optimizer = Of("Lion", 1e-4) });
        Told("a hundred times", new() { Optimizer = Of("AdamW8bit", 1) });
        Told("averages over the run", new() { Optimizer = Of("AdamWScheduleFree", 2e-3), Schedule = new() { Type = ScheduleType.Cosine } });
        Assert.Empty(OptimizerAdvice.Of(new() { Optimizer = Of("AdamW", 1e-4), Schedule = new() { Type = ScheduleType.Cosine } }, 1000));
    }
}
