using Levain.Training.Settings;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>A training step of full size.</summary>
    public static Bench Step { get; } = new("step", "Train a U-Net LoRA on SD 1.5 at 512 px: seconds a step, peak memory", SyntheticBase.Full, Lean: true, MeasureStep);

    // Forward pass, gradients of activations and of the LoRA; none below the first adapter, none of the text's keys and values.
    private const double StepTeraFlop = 1.748;

    private static IEnumerable<BenchRow> MeasureStep(BenchScene scene)
    {
        const int Side = 512, Rank = 16;
        var run = BenchRun.Train(scene, Side, Rank, TrainedPart.Unet, steps: scene.Repeats + 1);
        yield return new($"training step, SD 1.5, {Side} px, batch 1, U-Net LoRA rank {Rank}", run.Fastest) { TeraFlop = StepTeraFlop, PeakBytes = scene.PeakBytes };
    }
}
