using Levain.Training.Settings;

namespace Levain.Training.Planning;

/// <summary>Why a network file is written.</summary>
public enum SaveReason
{
    /// <summary>An epoch is over.</summary>
    Epoch,

    /// <summary>A number of steps is made.</summary>
    Step,

    /// <summary>The run is over.</summary>
    Final,
}

/// <summary>A network file of a run.</summary>
/// <param name="Path">The file.</param>
/// <param name="Reason">Why it is written.</param>
/// <param name="Number">Epoch (from 1) or step after which it is written.</param>
/// <param name="Replaces">Older file to be deleted once this one is there; null: none. It may be missing.</param>
public sealed record NetworkSave(string Path, SaveReason Reason, int Number, string? Replaces);

/// <summary>Which network files a run writes and deletes: kohya's names, times and rotation.</summary>
/// <remarks>kohya-ss/sd-scripts <c>library/train_util.py</c>: <c>get_epoch_ckpt_name</c>, <c>get_remove_epoch_no</c> and their like.</remarks>
public sealed class NetworkSaves
{
    private readonly OutputSettings output;
    private readonly int steps, epochs;
    private readonly string extension;

    /// <param name="steps">Steps of the run.</param>
    /// <param name="epochs">Epochs of the run.</param>
    /// <param name="trains">What is trained.</param>
    public NetworkSaves(OutputSettings output, int steps, int epochs, Trains trains = Trains.Network)
    {
        extension = output.FormatOf(trains) switch
        {
            ResultFormat.Ckpt => ".ckpt",
            ResultFormat.Pt => ".pt",
            ResultFormat.Bin => ".bin",
            ResultFormat.Diffusers or ResultFormat.DiffusersBin => "",
            _ => ".safetensors",
        };
        (this.output, this.steps, this.epochs) = (output, steps, epochs);
        EveryEpochs = output.SaveEpochRatio is { } ratio ? Math.Max(1, epochs / ratio) : output.SaveEveryEpochs;
    }

    /// <summary>Epochs between saves, the ratio resolved; null where epochs save nothing.</summary>
    public int? EveryEpochs { get; }

    /// <summary>The last file, written when the run is over.</summary>
    public NetworkSave Final => new(Place($"{output.Name ?? "last"}"), SaveReason.Final, steps, null);

    /// <summary>The file of the lowest validation loss so far, written over by each better one.</summary>
    public NetworkSave Best(int step) => new(Place($"{output.Name ?? "last"}-best"), SaveReason.Step, step, null);

    /// <summary>What is written after epoch <paramref name="epoch"/>, from 1; null: nothing. The last epoch has the final file only.</summary>
    public NetworkSave? AfterEpoch(int epoch)
    {
        if (EveryEpochs is not { } every || epoch % every != 0 || epoch >= epochs) return null;
        var old = epoch - every * output.KeepLastEpochs;
        return new(EpochFile(epoch), SaveReason.Epoch, epoch, old >= 0 ? EpochFile(old.Value) : null);
    }

    /// <summary>What is written after step <paramref name="step"/>, from 1; null: nothing.</summary>
    public NetworkSave? AfterStep(int step)
    {
        if (output.SaveEverySteps is not { } every || step % every != 0) return null;
        var old = step - output.KeepLastSteps - 1;
        return new(StepFile(step), SaveReason.Step, step, old >= 0 ? StepFile(old.Value - old.Value % every) : null);
    }

    /// <summary>Every save in the order it is made.</summary>
    /// <param name="stepsPerEpoch">Steps of one epoch.</param>
    public IEnumerable<NetworkSave> All(int stepsPerEpoch)
    {
        for (int step = 1, epoch = 1; step <= steps; step++)
        {
            if (AfterStep(step) is { } save) yield return save;
            if (step == epoch * (long)stepsPerEpoch && AfterEpoch(epoch++) is { } saved) yield return saved;
        }
        yield return Final;
    }

    /// <summary>The files that are there when the run is over, in the order they were written.</summary>
    /// <param name="stepsPerEpoch">Steps of one epoch.</param>
    public IReadOnlyList<NetworkSave> Remaining(int stepsPerEpoch)
    {
        var there = new OrderedDictionary<string, NetworkSave>();
        foreach (var save in All(stepsPerEpoch))
        {
            there[save.Path] = save;
            if (save.Replaces is { } old) there.Remove(old);
        }
        return [.. there.Values];
    }

    private string EpochFile(int epoch) => Place($"{output.Name ?? "epoch"}-{epoch:000000}");

    // Eight characters, the sign of a step before 0 among them.
    private string StepFile(int step) => Place($"{output.Name ?? "at"}-step{(step < 0 ? $"{step:0000000}" : $"{step:00000000}")}");

    private string Place(string name) => Path.Combine(output.Folder, name + extension);
}
