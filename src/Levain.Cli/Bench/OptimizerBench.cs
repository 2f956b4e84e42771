using System.Globalization;
using Levain.Training;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>One update by each optimizer.</summary>
    public static Bench Optimizers { get; } = new("optimizers", "One update of a U-Net LoRA of rank 128 by each optimizer, as a share of the step it belongs to, SD 1.5 at 512 px", SyntheticBase.Full, Lean: false, MeasureOptimizers);

    private const int OptimizerRank = 128;

    // 512 px, batch 1, by arithmetic: forward, gradients of activations and of adapters.
    private const double LoraStepTeraFlop = 1.984;

    private static IEnumerable<BenchRow> MeasureOptimizers(BenchScene scene)
    {
        const int Side = 512;
        var step = BenchRun.Train(scene, Side, OptimizerRank, TrainedPart.Unet, steps: scene.Repeats + 1).Fastest;
        yield return new($"training step, SD 1.5, {Side} px, batch 1, U-Net LoRA rank {OptimizerRank}", step) { TeraFlop = LoraStepTeraFlop, PeakBytes = scene.PeakBytes };
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var tensors = new List<TrainedTensor>();
        var position = 0L;
        foreach (var shape in LoraShapes())
        {
            tensors.Add(new(position, shape));
            position += tensors[^1].Length;
        }
        var (values, gradients) = (sin(arange(position, dtype: ScalarType.Float32)).mul_(1e-2), cos(arange(position, dtype: ScalarType.Float32)).mul_(1e-3));
        var parameters = new TrainedParameters(values, gradients, [new(1e-4, tensors)], 1e-4);

        var clipping = scene.FastestAlone(() => GradientNorm.Clip(gradients, 1));
        var usual = 0.0;
        yield return Row("gradient norm and its limit", clipping, 0);
        foreach (var optimizer in Training.Optimizers.All.OrderByDescending(optimizer => optimizer == Training.Optimizers.AdamW))
        {
            using var rule = optimizer.Defaults.Create(parameters);
            var update = 0;
            var seconds = scene.FastestAlone(() => rule.Step([new(0, optimizer.Rates is RateUse.Length ? 1e-4 : 1, [new(tensors, ++update)])]));
            if (usual == 0) usual = seconds;
            yield return Row(optimizer.Name, seconds, rule.MemoryBytes);
        }

        BenchRow Row(string name, double seconds, long bytes) => new(string.Create(CultureInfo.InvariantCulture,
            $"{name}: {100 * seconds / step:0.00} % of a step{(usual == 0 ? "" : $", {seconds / usual:0.0} × AdamW")}, {bytes / (double)position:0.00} B a number"), seconds)
        { PeakBytes = bytes };
    }

    // Down and up of every linear layer that kohya adapts in SD 1.5's U-Net: 16 transformers, 423,936 numbers for each rank.
    private static IEnumerable<IReadOnlyList<long>> LoraShapes()
    {
        const long context = 768, hidden = 4;
        long[] widths = [.. Enumerable.Repeat(320L, 5), .. Enumerable.Repeat(640L, 5), .. Enumerable.Repeat(1280L, 6)];
        foreach (var width in widths)
            foreach (var (into, from) in new[] { (width, width), (width, width), (width, width), (width, width), (width, width), (context, width), (context, width), (width, width), (width, 2 * hidden * width), (hidden * width, width), (width, width), (width, width) })
            {
                yield return [OptimizerRank, into];
                yield return [from, OptimizerRank];
            }
    }
}
