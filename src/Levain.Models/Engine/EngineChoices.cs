using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>One thing that was chosen for this machine.</summary>
/// <param name="Name">What was to be chosen.</param>
/// <param name="Value">What was chosen.</param>
/// <param name="Reason">Why.</param>
public sealed record EngineChoice(string Name, string Value, string Reason);

/// <summary>What the engine chose for this machine. Runs keep it in their snapshots, because the last digits of their numbers depend on it.</summary>
public static class EngineChoices
{
    /// <summary>Every choice, with its reason.</summary>
    public static IReadOnlyList<EngineChoice> Of(Compute compute) =>
    [
        new("threads", $"{get_num_threads()}", $"the processor has {Processor.PhysicalCores} cores; two threads of one core share its arithmetic units"),
        Precision(compute),
        Products,
        new("kernels", Engine.OwnKernels ? "own" : "libtorch's", Engine.OwnKernels ? "attention, fp32 products and small convolutions: the processor computes 16 numbers at a time (AVX-512)" : "own ones need a processor with AVX-512"),
    ];

    private static EngineChoice Products => new("large products", Engine.ProductsByConvolution ? "convolutions" : "BLAS",
        FormattableString.Invariant($"1024 rows by 640×640 measured {Engine.ProductsRatio:0.0} times as fast as a 1×1 convolution"));

    private static EngineChoice Precision(Compute compute) => new("precision", compute.Dtype == ScalarType.BFloat16 ? "bf16" : compute.Dtype == ScalarType.Float16 ? "fp16" : "fp32",
        compute.Device.type != TorchSharp.DeviceType.CPU ? "a GPU computes in it fastest"
        : !Processor.HasBf16 ? "the processor has no bf16 arithmetic"
        : FormattableString.Invariant($"bf16 measured {Engine.Bf16Ratio:0.0} times as fast as fp32; from {Engine.WorthBf16} on it is used unless fp32 is asked for"));
}
