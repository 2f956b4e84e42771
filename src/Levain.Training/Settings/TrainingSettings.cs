using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Training.Settings;

/// <summary>A type of numbers.</summary>
public enum Precision
{
    /// <summary>What the machine does best, found by a short measurement.</summary>
    Auto,

    /// <summary>32 bits.</summary>
    Fp32,

    /// <summary>bfloat16: 16 bits with the range of 32.</summary>
    Bf16,

    /// <summary>half: 16 bits with 11 significant ones.</summary>
    Fp16,
}

/// <summary>Types of numbers as tensors know them.</summary>
internal static class Precisions
{
    /// <summary>The tensors' type; null for <see cref="Precision.Auto"/>.</summary>
    public static ScalarType? ToDtype(this Precision precision) => precision switch
    {
        Precision.Fp16 => ScalarType.Float16,
        Precision.Bf16 => ScalarType.BFloat16,
        Precision.Fp32 => ScalarType.Float32,
        _ => null,
    };
}

/// <summary>The <c>[training]</c> table: how long, how much at once, with which arithmetic.</summary>
public sealed record TrainingSettings
{
    /// <summary>Steps of a run that says neither steps nor epochs, as in kohya.</summary>
    public const int DefaultSteps = 1600;

    /// <summary>Optimizer steps of the run; null with <see cref="Epochs"/> given, else 1600.</summary>
    public int? Steps { get; init; }

    /// <summary>Passes over all pictures; where given, it decides and <see cref="Steps"/> is not looked at.</summary>
    public int? Epochs { get; init; }

    /// <summary>Pictures of one batch, where a dataset says nothing else. Default 1.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Batches whose gradients are added up for one step. Default 1.</summary>
    public int GradientAccumulation { get; init; } = 1;

    /// <summary>Seed of every random number of the run, 0 to 2^32 − 1; null: drawn, and recorded.</summary>
    public long? Seed { get; init; }

    /// <summary>Arithmetic of the frozen base; adapters are always fp32. Default auto.</summary>
    public Precision Precision { get; init; } = Precision.Auto;

    /// <summary>What a step keeps for its backward pass: <c>auto</c>, <c>lean</c> (recompute) or <c>fast</c> (keep). Default auto.</summary>
    public MemoryPolicy Memory { get; init; } = MemoryPolicy.Auto;

    /// <summary>Keeps a moving average of the network beside the one that is trained, each step taking in 1 − decay of it; the average is what is judged, drawn and saved. 0.99 looks back over a hundred steps; null: none.</summary>
    public double? EmaDecay { get; init; }

    /// <summary>Worker processes of kohya's loader whose order of pictures and chances is followed; only with <c>compat = "kohya"</c>. Pictures are read ahead in any case. Default 0.</summary>
    public int LoaderWorkers { get; init; }

    /// <summary>Those workers live through all epochs. Default false.</summary>
    public bool PersistentWorkers { get; init; }

    /// <summary>Threads of the CPU; null: one for each physical core.</summary>
    public int? Threads { get; init; }

    /// <summary>The table's keys.</summary>
    public static TrainingSettings Map(TrainingSettings training, TomlMap map) => training with
    {
        Steps = map.OptionalWhole("steps", training.Steps),
        Epochs = map.OptionalWhole("epochs", training.Epochs),
        BatchSize = map.Whole("batch_size", training.BatchSize),
        GradientAccumulation = map.Whole("gradient_accumulation", training.GradientAccumulation),
        Seed = map.OptionalLong("seed", training.Seed),
        Precision = map.Choice("precision", training.Precision),
        Memory = map.Choice("memory", training.Memory),
        EmaDecay = map.OptionalNumber("ema_decay", training.EmaDecay),
        LoaderWorkers = map.Whole("loader_workers", training.LoaderWorkers),
        PersistentWorkers = map.Flag("persistent_workers", training.PersistentWorkers),
        Threads = map.OptionalWhole("threads", training.Threads),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether kohya's order is followed.</param>
    public void Check(Problems problems, bool kohya)
    {
        const int mostWorkers = 64;
        problems.Require(EmaDecay is null or > 0 and < 1, "ema_decay", $"is {EmaDecay}.", "Use above 0 to below 1; 0.99 suits a run of a thousand steps.");
        problems.Require(LoaderWorkers is >= 0 and <= mostWorkers, "loader_workers", $"is {LoaderWorkers}.", "Use 0 to 64.");
        problems.Require(LoaderWorkers == 0 || kohya, "loader_workers", $"is {LoaderWorkers} without compat = \"kohya\", where nothing follows from it.", "Leave it out: pictures are read ahead all the same.");
        problems.Require(!PersistentWorkers || LoaderWorkers > 0, "persistent_workers", "is true without workers.", "Set loader_workers, or leave it out.");
        problems.Require(Steps is null or >= 1, "steps", $"is {Steps}.", "Use 1 or more; 1600 suits a first LoRA.");
        problems.Require(Epochs is null or >= 1, "epochs", $"is {Epochs}.", "Use 1 or more.");
        problems.Require(BatchSize is >= 1 and <= 1024, "batch_size", $"is {BatchSize}.", "Use 1 or more; 1 to 4 suits a CPU.");
        problems.Require(GradientAccumulation >= 1, "gradient_accumulation", $"is {GradientAccumulation}.", "Use 1 or more.");
        problems.Require(Seed is null or >= 0 and <= uint.MaxValue, "seed", $"is {Seed}.", "Use 0 to 4294967295.");
        problems.Require(Threads is null or >= 1, "threads", $"is {Threads}.", "Use 1 or more.");
    }
}
