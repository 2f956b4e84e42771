using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Starts libtorch once per process: allocator, libraries, threads, device, precision.</summary>
public static class Engine
{
    internal const double WorthBf16 = 1.3;       // below that, its coarser numbers are not worth the time
    private static readonly Lock starting = new();
    private static readonly Lazy<double> bf16Ratio = new(() => Processor.HasBf16 ? Bf16Speedup() : 0);
    private const double WorthConvolution = 1.1;
    private static readonly Lazy<double> convolutionRatio = new(ConvolutionSpeedup);
    private static bool? productsByConvolution;
    private static bool started;

    /// <summary>Whether bf16 arithmetic is at least 1.3 times as fast as fp32 on this CPU; measured once, about 0.2 s, and only where the processor has it.</summary>
    public static bool Bf16IsFaster => Bf16Ratio >= WorthBf16;

    /// <summary>How many times as fast bf16 arithmetic is as fp32; 0 where the processor has none.</summary>
    public static double Bf16Ratio => bf16Ratio.Value;

    /// <summary>Whether large matrix products are faster as 1×1 convolutions: on AMD's processors libtorch's BLAS leaves half of the arithmetic units idle. Measured once, about 0.1 s, unless a snapshot's choice is set.</summary>
    public static bool ProductsByConvolution
    {
        get => productsByConvolution ??= ProductsRatio >= WorthConvolution;
        set => productsByConvolution = value;
    }

    /// <summary>Whether this program's own kernels compute where they can: they need vectors of 512 bits (AVX-512). Set only to repeat what a machine without them computed.</summary>
    public static bool OwnKernels { get; private set; } = CanOwnKernels;

    private static bool CanOwnKernels => Vector512.IsHardwareAccelerated && Avx512F.IsSupported;

    /// <summary>How many times as fast large products are as convolutions.</summary>
    internal static double ProductsRatio => convolutionRatio.Value;

    /// <summary>Makes libtorch ready and chooses where and how to compute. Call it before the first tensor, at the application's edge.</summary>
    /// <exception cref="EngineException">libtorch cannot be loaded, or the device or precision asked for is not there.</exception>
    public static Compute Start(EngineOptions options)
    {
        lock (starting)
        {
            if (!started)
            {
                Allocator.KeepBuffers();
                ThreadWaiting.SleepWhereBusy();
                NativeLibraries.Load();
                started = true;
            }
            if (options.ProductsByConvolution is { } chosen) ProductsByConvolution = chosen;
            if (options.OwnKernels is { } own) OwnKernels = own && CanOwnKernels;
            set_num_threads(options.Threads > 0 ? options.Threads : Processor.PhysicalCores);
        }
        return Choose(options);
    }

    /// <summary>Device and precision for these options, once libtorch is loaded.</summary>
    internal static Compute Choose(EngineOptions options)
    {
        var device = Choose(options.Device);
        return new(device, Choose(options.Dtype, device), options.Memory) { ChosenByMachine = options.Dtype is null, WideVae = options.WideVae };
    }

    private static Device Choose(string name)
    {
        if (name == "auto") return cuda_is_available() ? CUDA : CPU;
        if (name == "cpu") return CPU;
        if (name != "cuda" && !name.StartsWith("cuda:", StringComparison.Ordinal))
            throw new EngineException($"device '{name}' is not known. Use auto, cpu, cuda or cuda:N.");
        return cuda_is_available()
            ? device(name)
            : throw new EngineException($"device '{name}' was asked for, but libtorch sees no CUDA GPU. Build with -p:LevainCuda=true, check the driver with nvidia-smi, or use device cpu.");
    }

    private static ScalarType Choose(ScalarType? dtype, Device device) => (dtype, device.type) switch
    {
        (null, DeviceType.CPU) => Bf16IsFaster ? ScalarType.BFloat16 : ScalarType.Float32,
        (null, _) => ScalarType.BFloat16,
        (ScalarType.Float16, DeviceType.CPU) => throw new EngineException("precision fp16 was asked for on the CPU, where it is many times slower than fp32. Use auto, bf16 or fp32."),
        ({ } given, _) => given,
    };

    // A linear layer and a convolution of the U-Net's middle sizes on one thread, together about 30 ms in fp32.
    private static double Bf16Speedup()
    {
        return OnOneThread(() =>
        {
            var (a, b) = (Floor.Noise(CPU, 1024, 640), Floor.Noise(CPU, 640, 640));
            var (x, w) = (Floor.Noise(CPU, 1, 32, 32, 320).permute(0, 3, 1, 2), Floor.Noise(CPU, 320, 3, 3, 320).permute(0, 3, 1, 2));
            var (halfA, halfB, halfX, halfW) = (a.bfloat16(), b.bfloat16(), x.bfloat16(), w.bfloat16());
            var product = Fastest(() => mm(a, b)) / Fastest(() => mm(halfA, halfB));
            var convolution = Fastest(() => nn.functional.conv2d(x, w, padding: [1, 1])) / Fastest(() => nn.functional.conv2d(halfX, halfW, padding: [1, 1]));
            return Math.Min(product, convolution);
        });
    }

    // 1024 tokens through a layer of 640 channels, about 50 ms in all.
    private static double ConvolutionSpeedup() => OnOneThread(() =>
    {
        var (x, w) = (Floor.Noise(CPU, 1024, 640), Floor.Noise(CPU, 640, 640));
        var (pictures, kernel) = (x.view(16, 1, -1, 640).permute(0, 3, 1, 2), w.view(640, 640, 1, 1));
        return Fastest(() => nn.functional.linear(x, w)) / Fastest(() => nn.functional.conv2d(pictures, kernel));
    });

    private static double OnOneThread(Func<double> measure)
    {
        var threads = get_num_threads();
        set_num_threads(1);
        try
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            return measure();
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static double Fastest(Func<Tensor> call)
    {
        const int Calls = 3;
        call().Dispose();
        var best = double.MaxValue;
        for (var i = 0; i < Calls; i++)
        {
            var start = CpuClock.Seconds;
            call().Dispose();
            best = Math.Min(best, CpuClock.Seconds - start);
        }
        return best;
    }
}
