using Levain.Training;
using Levain.Training.Settings;

namespace Levain.Guide;

public static partial class Presets
{
    /// <summary>The guide's easy way: nothing to guess.</summary>
    public static Preset EasyDAdapt { get; } = new("easy_dadapt", "Characters, and styles too, with a step length that finds itself (DAdaptAdam)",
        [
            "50 to 100 pictures, with tags or with one keyword only; 32 is rank enough for many characters.",
            "Both learning rates stay at 1, the schedule stays constant, and alpha at 1 to half the rank.",
            "After the first try, two epochs more or fewer are the usual correction.",
        ],
        Easy(new() { Type = "DAdaptAdam", LearningRate = 1, Options = new DAdaptAdamOptions { Decouple = true, WeightDecay = 0.01, Betas = [0.9, 0.99] } }));

    private static RunSettings Easy(OptimizerSettings optimizer) => new()
    {
        Model = new() { MaxTokenLength = 225 },
        Dataset = Buckets(320, 768) with { Resolution = new(512, 512), Shared = new() { NumRepeats = 1 } },
        Network = new() { Rank = 64, Alpha = 1 },
        Optimizer = optimizer,
        Schedule = new() { Type = ScheduleType.Constant },
        Training = new() { Steps = 1000 },
        Loss = new() { MinSnrGamma = 5 },
        Output = new() { Precision = Precision.Fp16 },
    };
}
