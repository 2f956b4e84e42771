using System.Globalization;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>What each family of networks costs beside kohya's LoRA.</summary>
    public static Bench Networks { get; } = new("networks", "Train every family of networks at one rank on the layers of kohya's LoRA, SD 1.5 at 256 px: time and memory of a step beside a LoRA's",
        SyntheticBase.Full, Lean: false, MeasureNetworks)
    {
        OnRequest = true,
    };

    private static IEnumerable<BenchRow> MeasureNetworks(BenchScene scene)
    {
        const int Side = 256, Rank = 16;
        // A LoRA's step before every other's: neighbours on the machine come and go, and both feel them.
        foreach (var family in AdapterFamilies.All.Where(family => family != AdapterFamilies.Norm).OrderBy(family => family != AdapterFamilies.Lora))
        {
            var lora = NetworkStep(scene, AdapterFamilies.Lora, Side, Rank);
            var (seconds, bytes) = family == AdapterFamilies.Lora ? lora : NetworkStep(scene, family, Side, Rank);
            yield return new($"{family.Name}, rank {Rank}, SD 1.5, {Side} px: {Times(seconds / lora.Seconds)} of a LoRA's time", seconds) { PeakBytes = bytes };
        }
    }

    private static (double Seconds, long Bytes) NetworkStep(BenchScene scene, AdapterFamily family, int side, int rank)
    {
        GC.Collect();       // what the run before has left is no part of this one's memory
        scene.ForgetPeak();
        var network = new NetworkSettings
        {
            Family = family.Name,
            Rank = rank,
            Alpha = family == AdapterFamilies.KohyaOft ? LimitOfAngles : rank,
            Train = TrainedPart.Unet,
            Preset = family.Origin is AdapterOrigin.Lycoris ? LayerPresets.AttnMlp.Name : null,
            Oft = new() { AllLinear = family == AdapterFamilies.KohyaOft },
        };
        return (BenchRun.Train(scene, side, network, steps: scene.Repeats + 1).Fastest, scene.PeakBytes);
    }

    private const double LimitOfAngles = 0.01;

    private static string Times(double ratio) => ratio.ToString("0.00", CultureInfo.InvariantCulture);
}
