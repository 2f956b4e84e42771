using System.CommandLine;
using System.Globalization;
using Levain.Models;
using Levain.Training;
using Levain.Training.Settings;
using TorchSharp;

namespace Levain.Cli;

/// <summary>The words of commands that compute a run: device, memory, threads. They go before the run file's <c>[training]</c>.</summary>
internal sealed class MachineArguments
{
    private const string ThreadsKey = "threads", DeviceKey = "device", PrecisionKey = "precision", ProcessorKey = "processor", ProductsKey = "large products by convolution", KernelsKey = "own kernels";

    /// <summary>Where to compute.</summary>
    public Option<string> Device { get; } = new("--device") { Description = "auto, cpu, cuda or cuda:N.", DefaultValueFactory = _ => "auto", HelpName = "DEVICE" };

    /// <summary>What a step keeps for its backward pass.</summary>
    public Option<MemoryPolicy?> Memory { get; } = new("--memory") { Description = "auto, lean (least memory, about half as fast again) or fast (keeps everything).", HelpName = "POLICY" };

    /// <summary>Threads of one operation.</summary>
    public Option<int?> Threads { get; } = new("--threads") { Description = "Threads of one operation; default one for each physical core.", HelpName = "N" };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        command.Options.Add(Device);
        command.Options.Add(Memory);
        command.Options.Add(Threads);
        return command;
    }

    /// <summary>What to start the engine with: the command line, then the run file, then what an earlier start of the run was given, then what the machine does best.</summary>
    /// <param name="earlier">The start that is gone on from; null for a new run.</param>
    public EngineOptions Choose(ParseResult given, RunSettings run, EarlierRun? earlier)
    {
        string? was(string key) => earlier?.Machine.GetValueOrDefault(key);
        var device = given.GetValue(Device)!;
        return new()
        {
            Device = device == "auto" ? was(DeviceKey) ?? device : device,
            Dtype = run.Training.Precision switch
            {
                Precision.Fp32 => torch.ScalarType.Float32,
                Precision.Bf16 => torch.ScalarType.BFloat16,
                Precision.Fp16 => torch.ScalarType.Float16,
                _ when run.Compatibility is Compatibility.Kohya => torch.ScalarType.Float32,
                _ => Enum.TryParse<torch.ScalarType>(was(PrecisionKey), out var dtype) ? dtype : null,
            },
            WideVae = run.Model.WideVae,
            Threads = given.GetValue(Threads) ?? run.Training.Threads ?? (int.TryParse(was(ThreadsKey), CultureInfo.InvariantCulture, out var threads) ? threads : 0),
            ProductsByConvolution = bool.TryParse(was(ProductsKey), out var products) ? products : null,
            OwnKernels = bool.TryParse(was(KernelsKey), out var own) ? own : null,
            Memory = given.GetValue(Memory) ?? run.Training.Memory,
        };
    }

    /// <summary>What was chosen, as snapshots keep it: whatever of it changes, the last digits of a resumed run change too. Memory policies change none.</summary>
    public static IReadOnlyDictionary<string, string> Describe(Compute compute) => new Dictionary<string, string>
    {
        [DeviceKey] = compute.Device.ToString(),
        [PrecisionKey] = compute.Dtype.ToString(),
        [ThreadsKey] = torch.get_num_threads().ToString(CultureInfo.InvariantCulture),
        [ProductsKey] = Engine.ProductsByConvolution.ToString(),
        [KernelsKey] = Engine.OwnKernels.ToString(),
        [ProcessorKey] = Processor.Name ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "",
    };
}
