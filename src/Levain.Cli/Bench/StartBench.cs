using Levain.Training.Settings;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>From the start of the program to the first step of a tiny model.</summary>
    public static Bench StartTiny { get; } = new("start-tiny", "From the start of the program to the first step, tiny model", SyntheticBase.Tiny, Lean: false, scene => MeasureStart(scene, side: 128)) { FromStart = true };

    /// <summary>From the start of the program to the first step of a full-size model.</summary>
    public static Bench StartFull { get; } = new("start", "From the start of the program to the first step, SD 1.5", SyntheticBase.Full, Lean: false, scene => MeasureStart(scene, side: 512)) { FromStart = true };

    // Encoding the one picture is in it.
    private static IEnumerable<BenchRow> MeasureStart(BenchScene scene, int side)
    {
        const int Rank = 16;
        var run = BenchRun.Train(scene, side, Rank, TrainedPart.Unet, steps: 1);
        yield return new($"program start to first step begun, {Path.GetFileNameWithoutExtension(scene.BasePath)}, {side} px", run.Ready.TotalSeconds);
        yield return new($"program start to first step done, {Path.GetFileNameWithoutExtension(scene.BasePath)}, {side} px", run.FirstStep.TotalSeconds);
    }
}
