using Levain.Training.Settings;

namespace Levain.Guide;

public static partial class Presets
{
    /// <summary>Rates set by hand.</summary>
    public static Preset ManualClassic { get; } = new("manual_classic", "Rates set by hand, as scripts have long done it (AdamW8bit, cosine with restarts)",
        [
            "U-Net 1e-4 and text encoder 5e-5; times the batch size where that is more than 1.",
            "For tags: the first one stays in front, the others are shuffled. Pictures of something asymmetric should not be flipped.",
        ],
        new()
        {
            Model = new() { MaxTokenLength = 225, ClipSkip = 2 },
            Dataset = Buckets(320, 960) with { Resolution = new(512, 512), Shared = new() { ShuffleCaption = true, KeepTokens = 1, FlipAug = true } },
            Network = new() { Rank = 128 },
            Optimizer = new() { Type = "AdamW8bit", LearningRate = 1e-4, UnetLearningRate = 1e-4, TextEncoderLearningRate = 5e-5 },
            Schedule = new() { Type = ScheduleType.CosineWithRestarts, Cycles = 3 },
            Training = new() { Epochs = 8, BatchSize = 1, Seed = 420 },
            Loss = new() { PriorWeight = 1 },
            Output = new() { Precision = Precision.Fp16, SaveEveryEpochs = 1 },
        });
}
