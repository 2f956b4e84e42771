using Levain.Training.Settings;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>A training step where arithmetic is nothing and operations are everything.</summary>
    public static Bench Tiny { get; } = new("tiny", "Train a LoRA on a tiny model at 128 px: what a step costs beside arithmetic", SyntheticBase.Tiny, Lean: false, MeasureTiny);

    private static IEnumerable<BenchRow> MeasureTiny(BenchScene scene)
    {
        const int Side = 128, Rank = 8, StepsOfReading = 50;
        var run = BenchRun.Train(scene, Side, Rank, TrainedPart.Both, StepsOfReading * scene.Repeats);
        yield return new($"training step, tiny model, {Side} px, batch 1, LoRA rank {Rank} on both parts", run.Fastest) { PeakBytes = scene.PeakBytes };
    }
}
