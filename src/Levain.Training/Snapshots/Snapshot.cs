using System.Globalization;
using System.Text.Json;
using Levain.Data;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Everything a run is after a step: what another process needs to go on as if nothing had happened, to the bit.</summary>
internal sealed record Snapshot
{
    private const string Values = "values", Gradients = "gradients", SlotPrefix = "slot.", Python = "random.python", Torch = "random.torch", State = "state";
    private const string FormatName = "format", StepName = "step", MachineName = "machine";

    /// <summary>Where the run stands, in numbers and names.</summary>
    public required RunState At { get; init; }

    /// <summary>The network's flat buffer, fp32.</summary>
    public required Tensor NetworkValues { get; init; }

    /// <summary>The flat gradient, where it is not zero between two steps; null: zero.</summary>
    public Tensor? NetworkGradients { get; init; }

    /// <summary>The optimizer's memory, slot by slot, each as long as the network's buffer.</summary>
    public required IReadOnlyDictionary<string, Tensor> Slots { get; init; }

    /// <summary>Both generators, as <see cref="RunRandom.Save"/> gives them.</summary>
    public required (byte[] Python, byte[] Torch) Random { get; init; }

    /// <summary>Writes it as one safetensors file.</summary>
    public void Write(Stream stream)
    {
        using var scope = NewDisposeScope();
        var tensors = new List<KeyValuePair<string, Tensor>>
        {
            new(Values, NetworkValues),
            new(Python, tensor(Random.Python)),
            new(Torch, tensor(Random.Torch)),
            new(State, tensor(JsonSerializer.SerializeToUtf8Bytes(At, RunState.Json))),
        };
        if (NetworkGradients is not null) tensors.Add(new(Gradients, NetworkGradients));
        foreach (var (name, slot) in Slots) tensors.Add(new(SlotPrefix + name, slot));
        Safetensors.Write(stream, tensors, new Dictionary<string, string>
        {
            [FormatName] = RunState.Format,
            [StepName] = At.Step.ToString(CultureInfo.InvariantCulture),
            [MachineName] = JsonSerializer.Serialize(At.Machine),
        });
    }

    /// <summary>Reads what <see cref="Write"/> wrote; the caller's scope owns the tensors.</summary>
    /// <exception cref="RunException">It is a snapshot of another version.</exception>
    /// <exception cref="Core.CheckpointException">It is no snapshot, or damaged.</exception>
    public static Snapshot Read(string path)
    {
        using var file = Open(path);
        return new()
        {
            At = JsonSerializer.Deserialize<RunState>(Bytes(file, State), RunState.Json)!,
            NetworkValues = file.Load(Values),
            NetworkGradients = file.Entries.ContainsKey(Gradients) ? file.Load(Gradients) : null,
            Slots = file.Entries.Keys.Where(name => name.StartsWith(SlotPrefix, StringComparison.Ordinal)).ToDictionary(name => name[SlotPrefix.Length..], file.Load),
            Random = (Bytes(file, Python), Bytes(file, Torch)),
        };
    }

    /// <summary>Reads only what the header tells: steps made, and what was chosen for the machine. Needs no engine.</summary>
    /// <exception cref="RunException">It is a snapshot of another version.</exception>
    /// <exception cref="Core.CheckpointException">It is no snapshot, or damaged.</exception>
    public static (int Step, IReadOnlyDictionary<string, string> Machine) ReadHead(string path)
    {
        using var file = Open(path);
        return (int.Parse(file.Metadata[StepName], CultureInfo.InvariantCulture), JsonSerializer.Deserialize<Dictionary<string, string>>(file.Metadata[MachineName])!);
    }

    private static TensorFile Open(string path)
    {
        var file = TensorFile.Open(path);
        if (file.Metadata.TryGetValue(FormatName, out var format) && format == RunState.Format) return file;
        file.Dispose();
        throw new RunException($"{path} is {(format is null ? "no snapshot" : $"a snapshot of the form '{format}', and this version reads '{RunState.Format}'")}. Start the run anew without --resume.");
    }

    private static byte[] Bytes(TensorFile file, string name)
    {
        using var tensor = file.Load(name);
        return tensor.bytes.ToArray();
    }
}

/// <summary>Where a run stands, in numbers and names.</summary>
internal sealed record RunState
{
    /// <summary>Name of this form of snapshot; another form gets another name.</summary>
    public const string Format = "levain.snapshot.1";

    /// <summary>How it is written.</summary>
    public static readonly JsonSerializerOptions Json = new() { IncludeFields = true, NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>Updates made.</summary>
    public required int Step { get; init; }

    /// <summary>Updates that the optimizer and the learning rate's schedule know of; null: <see cref="Step"/>. More where kohya's way of resuming counts steps anew.</summary>
    public int? Updates { get; init; }

    /// <summary>Slots of the average loss that this epoch does not fill, after kohya's way of resuming.</summary>
    public int SlotShift { get; init; }

    /// <summary>The epoch, from 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>Batches of this epoch that are done.</summary>
    public required int Batch { get; init; }

    /// <summary>Losses of the last epoch's worth of batches, and their running sum.</summary>
    public required (double[] Slots, double Sum) Losses { get; init; }

    /// <summary>What judgements by pictures that are set aside have come to.</summary>
    public ValidationState Judged { get; init; } = new();

    /// <summary>Where the loader stands.</summary>
    public required LoaderState Loader { get; init; }

    /// <summary>When the run began, and the number it is known by in metadata.</summary>
    public required RunIdentity Identity { get; init; }

    /// <summary>What the run was made of, part by part.</summary>
    public required RunFingerprint Fingerprint { get; init; }

    /// <summary>What the plan chose for this machine: threads, algorithms, recomputation.</summary>
    public required IReadOnlyDictionary<string, string> Machine { get; init; }
}

/// <summary>What distinguishes a run from one with the same settings.</summary>
/// <param name="Session">Random number that names it.</param>
/// <param name="Started">When it began, seconds since 1970.</param>
/// <param name="Seed">Its seed, drawn or given.</param>
/// <param name="Machine">What was chosen for the machine at its beginning.</param>
public sealed record RunIdentity(long Session, double Started, long Seed, IReadOnlyDictionary<string, string> Machine);
