using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Cli.Doctor;

/// <summary>libtorch: whether it loads, which devices it sees, how fast it computes.</summary>
internal static class EngineRoom
{
    public static Finding Loads()
    {
        try
        {
            var compute = Engine.Start(new());
            return new("libtorch", $"{__version__}, {get_num_threads()} threads, computes on {compute.Device.type.ToString().ToLowerInvariant()}");
        }
        catch (EngineException failure)
        {
            return new("libtorch", "cannot be used", failure.Message, Blocks: true);
        }
    }

    public static Finding Gpu() => cuda.is_available()
        ? new("GPU", $"{cuda.device_count()} that CUDA can use")
        : new("GPU", Directory.Exists("/proc/driver/nvidia/gpus") ? "an NVIDIA card that this build does not use" : "none",
            Directory.Exists("/proc/driver/nvidia/gpus") ? "Build with -p:LevainCuda=true to train on it." : null);

    public static IEnumerable<Finding> Rates()
    {
        var floor = Floor.Measure(CPU);
        yield return new("fp32", FormattableString.Invariant($"{floor.Product:0} GFLOP/s in matrix products, {floor.Convolution:0} in convolutions"));
        yield return new("bf16", !Processor.HasBf16 ? "the processor has none: fp32 is used"
            : Engine.Bf16IsFaster ? "at least 1.3 times as fast as fp32: used unless a run file says otherwise"
            : "measured no faster than fp32: fp32 is used");
    }
}
