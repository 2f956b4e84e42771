using Levain.Core;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    private int slotShift;      // K-25: slots of the average loss that a resumed epoch does not fill

    // kohya's way of going on (K-05 to K-08): weights, optimizer, rates and both generators continue, while steps are counted from 0 or from the
    // remainder within the epoch, and the order of pictures is drawn anew from where the generator stands.
    private void ResumeAsKohya()
    {
        var asked = settings.Snapshots;
        if (asked is { KohyaResume: null, InitialStep: null, InitialEpoch: null }) return;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        int? made = null;
        if (asked.KohyaResume is { } path)
        {
            var snapshot = Snapshot.Read(KohyaState.Find(path) ?? throw new RunException($"{path} is gone."));
            if (snapshot.NetworkValues.numel() != trained.Values.numel())
                throw new RunException($"{path} holds a network of {snapshot.NetworkValues.numel():N0} numbers, and this run trains {trained.Values.numel():N0}. Give the options that it was trained with.");
            trained.Values.copy_(snapshot.NetworkValues);
            trained.Forget();
            ema?.Values.copy_(snapshot.Slots.GetValueOrDefault(NetworkAverage.Slot) ?? snapshot.NetworkValues);
            updater.Restore(snapshot.Slots, snapshot.NetworkGradients, snapshot.At.Updates ?? snapshot.At.Step);
            random.Restore(snapshot.Random.Python, snapshot.Random.Torch);
            made = snapshot.At.Step;
        }
        if (settings.Trains is not Trains.Network) return;          // its other trainers make all of their steps again
        var length = plan.Length;
        var initial = asked.InitialStep ?? (asked.InitialEpoch - 1) * length.StepsPerEpoch ?? made ?? 0;
        if (initial >= length.Steps)
            throw new RunException($"{Counted.Of(initial, "step")} {(initial == 1 ? "is" : "are")} made already, and the run has {length.Steps}. Give a larger --max_train_steps.");
        var done = asked.SkipDone ? initial * settings.Training.GradientAccumulation : initial;
        var epochs = done / length.StepsPerEpoch;
        epoch = epochs + 1;
        if (!asked.SkipDone) return;
        var rest = done - epochs * length.BatchesPerEpoch;
        step = rest;                            // below 0 where an epoch has more batches than steps
        if (rest <= 0) return;
        batchesDone = rest;
        loader.SkipTo(rest, rest);
        slotShift = rest - 1;
        if (epochs > 0) average.Restore([0], 0);
    }
}
