using Levain.Core;
using Levain.Data;
using Levain.Models;
using Levain.Networks;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>How a run ended.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Finished">Whether that is all of them; false where it was stopped.</param>
/// <param name="Path">The network file, or the snapshot to go on from; null where neither could be written.</param>
public sealed record RunResult(int Step, bool Finished, string? Path);

/// <summary>
/// A run: the loop over batches, and nothing else. It draws every number in the order of kohya's trainer, raises events, looks at requests
/// between two steps, and can be put down in a snapshot after any of them.
/// </summary>
public sealed partial class Run : IDisposable
{
    private readonly RunPlan plan;
    private readonly RunSettings settings;
    private readonly Compat compat;
    private readonly RunRandom random;
    private readonly StableDiffusion model;
    private readonly RunOptions options;
    private readonly IProgress<RunEvent>? events;

    private readonly CachedLatents? latents;
    private readonly ValidationLoader? validation;
    private readonly List<Network> merged;
    private readonly Trained trained;
    private readonly BatchLoader loader;
    private readonly KeptPrompt? kept;
    private readonly NetworkAverage? ema;
    private readonly CaptionStates captions;
    private readonly Objective objective;
    private readonly Updater updater;
    private readonly Diagnosis diagnosis;
    private readonly LossAverage average = new();
    private readonly ResultFiles files;
    private readonly RunSnapshots snapshots;
    private readonly SamplePictures pictures;

    private readonly bool begins;       // no snapshot of this very run is gone on from
    private int step, epoch = 1, batchesDone;

    /// <summary>Gets a run ready for its first step: caches latents, makes the network, in kohya's order of random numbers.</summary>
    /// <param name="plan">What is to be done.</param>
    /// <param name="random">The generators that the plan was made with.</param>
    /// <param name="model">The base; the run hangs its network on it and takes it off again, the caller disposes it.</param>
    /// <param name="options">Whether to go on from a snapshot, and what the machine chose.</param>
    /// <param name="events">Told what happens.</param>
    /// <param name="cancel">Stops the preparations.</param>
    /// <exception cref="DatasetException">A picture cannot be read.</exception>
    /// <exception cref="RunException">There is a snapshot, but it is of another run.</exception>
    public Run(RunPlan plan, RunRandom random, StableDiffusion model, RunOptions? options = null, IProgress<RunEvent>? events = null, CancellationToken cancel = default)
    {
        (this.plan, this.random, this.model, this.options, this.events) = (plan, random, model, options ?? new(), events);
        (settings, compat) = (plan.Settings, plan.Settings.Compat);
        foreach (var warning in plan.Warnings) events?.Report(new RunWarned(warning));

        random.Skip(model.InitialDraws);
        model.KeepWide(ModelPart.UNet);
        if (settings.TrainsText) model.KeepWide(ModelPart.TextEncoder);
        var word = settings.Trains is Trains.Embedding ? new TrainedEmbedding(settings, model, random) : null;      // made before latents are
        latents = LatentPreparation.Cache(plan, model, random, events, cancel);
        merged = MergeBaseNetworks();
        objective = new(settings.Noise, settings.Loss, settings.Model.VParameterization, compat);
        kept = AskBase();
        trained = word ?? StartTraining();
        model.TextEncoder.PassesAllBlocks = compat.UnusedBlocksDraw && trained.Draws;
        model.UNet.Draws = random.Torch;          // blocks that are computed twice drop the same twice

        loader = new(plan.Dataset, random.Python, random.EpochOrder, plan.Length.Steps, latents, settings.Trains is Trains.Embedding ? WordTemplates.For(settings.Embedding) : null)
        {
            Workers = settings.Training.LoaderWorkers > 0 ? new(settings.Training.LoaderWorkers, settings.Training.PersistentWorkers, random.EpochOrder) : null,
        };
        validation = plan.Judged.Count > 0 ? new(plan.Dataset, plan.Length.Steps, latents) { Workers = (settings.Training.LoaderWorkers, settings.Training.PersistentWorkers) } : null;
        updater = new(trained, plan);
        ema = settings.Training.EmaDecay is { } decay ? new(trained.Values, decay) : null;
        captions = new(model.TextEncoder, settings.Model, changes: trained.StatesChange, trained.Words);
        diagnosis = new(plainSquares: settings.Loss is { Type: LossType.L2, MinSnrGamma: null or 0, DebiasedEstimation: false, ScaleVLikeNoise: false, VPredLike: null or 0 },
            wrong => { if (compat.TrainsOn) events?.Report(new RunWarned(char.ToUpperInvariant(wrong[0]) + wrong[1..])); else throw new RunException(wrong); });
        snapshots = new(plan, this.options, events);
        files = new(trained.Writer(plan, () => snapshots.Identity, this.options), events);
        pictures = new(plan, model, this.options.Clock, this.options.Session);
        if (snapshots.Find() is { } found)
        {
            using var scope = NewDisposeScope();
            Restore(snapshots.Read(found));
        }
        else
        {
            ResumeAsKohya();
            snapshots.Begin();
            begins = true;
        }
    }

    /// <summary>The network being trained.</summary>
    /// <exception cref="InvalidOperationException">The run trains something else.</exception>
    public Network Network => (trained as TrainedNetwork)?.Network ?? throw new InvalidOperationException("The run trains no network.");

    /// <summary>What is trained.</summary>
    internal Trained Trained => trained;

    /// <summary>Steps made.</summary>
    public int Step => step;

    /// <summary>Told about every batch: what was drawn and what came of it. For tests and other close observers.</summary>
    internal IBatchObserver? Observer { get; init; }

    /// <summary>Makes steps until the run is over or asked to stop.</summary>
    /// <param name="requests">What others ask of the run.</param>
    /// <param name="cancel">Stops as <see cref="RunRequests.Stop"/> does: after the present step, with a snapshot.</param>
    /// <exception cref="RunException">Training has gone wrong; the message says how and what helps.</exception>
    public RunResult Train(RunRequests? requests = null, CancellationToken cancel = default)
    {
        var batches = plan.Length.BatchesPerEpoch;
        if (begins && settings.Samples.AtFirst) Draw(0);
        while (!judgedEnough && epoch <= plan.Length.Epochs && (step < plan.Length.Steps || batchesDone > 0))
        {
            // A run restored at its last step only has its epoch's end left to do.
            if (step < plan.Length.Steps)
                foreach (var batch in loader.Epoch(epoch))
                {
                    TrainOn(batch, batches);
                    if (step >= plan.Length.Steps || judgedEnough) break;
                    if (!updater.JustUpdated) continue;
                    if (requests?.TakeDraw() == true) Draw(null);
                    if (requests?.IsPaused == true) WaitForPause(requests, cancel);
                    if (cancel.IsCancellationRequested || requests?.IsStopped == true) return Stop();
                    if (requests?.TakeSnapshot() == true) SaveSnapshot();
                    else snapshots.SaveIfDue(step, SaveSnapshot);
                }
            if (judgedEnough && batchesDone < batches) break;
            EndEpoch();
        }
        return Finish();
    }

    /// <summary>Takes the network off the model and frees what the run holds.</summary>
    public void Dispose()
    {
        ForgetStart();
        captions.Dispose();
        kept?.Dispose();
        ema?.Dispose();
        loader.Dispose();
        updater.Dispose();
        model.TextEncoder.PassesAllBlocks = false;
        trained.Dispose();
        foreach (var one in merged) one.Dispose();
        latents?.Dispose();
        files.Dispose();
    }

    private void TrainOn(Batch batch, int batches)
    {
        using var owner = batch;
        using var scope = NewDisposeScope();
        Observer?.Begins(random, batch);
        loader.Step = step;
        trained.Begin(step);
        var z = Latents(batch, random);
        Observer?.Encoded(random);
        var context = Context(batch.Captions);
        var noised = objective.Noise(z, random);
        var times = tensor(noised.Timesteps.Select(t => (float)t).ToArray()).to(z.device);
        trained.At(noised.Timesteps);
        var prediction = model.UNet.call(noised.Noisy, times, context);
        var loss = objective.Loss(prediction, noised, batch.LossWeights, settings.Kohya is { PassesOverMasks: true } ? null : batch.Masks);

        var accumulation = settings.Training.GradientAccumulation;
        void Follow(Tensor loss) => (accumulation > 1 ? loss / accumulation : loss).backward();
        Follow(loss);
        // After the other's backward pass: blocks computed again in it still find this timestep, and the ranks drawn for it.
        if (kept is not null) Follow(kept.Loss((epoch - 1) * batches + batchesDone, model, trained, Context));
        var updates = Accumulation.Updates(batchesDone, batches, accumulation);
        var rates = updater.Rates;
        updater.Step(updates, step);
        var norms = trained.LimitNorms(updates);

        if (updates) ema?.Add(trained.Values, updater.Made);

        // The one place where the host waits for the device.
        var value = (double)loss.item<float>();
        if (updates) step++;
        diagnosis.Loss(value, step, batch.Keys);
        if (updates) diagnosis.Gradient(updater.GradientNorm, step);
        if (updates && updater.Warning is { } warning) events?.Report(new RunWarned(warning));
        average.Add(batchesDone - slotShift, value);
        batchesDone++;
        Observer?.Ends(noised.Timesteps, value, updates ? updater.GradientNorm : null);

        var saved = updates && AfterStep();
        events?.Report(new StepDone(step, plan.Length.Steps, epoch, plan.Length.Epochs, value, average.Value,
            trained.StepScalars(value, average.Value, norms, compat.LogsNextRates || updater.MakesRates ? updater.Rates : rates))
        { Updated = updates });
        if (updates) ValidateAfterStep();
        if (saved && settings.Snapshots.WithSaves) SaveSnapshot();
    }

    private bool AfterStep()
    {
        var samples = settings.Samples;
        // As in kohya, a number of epochs goes before a number of steps.
        if (samples.EveryEpochs is null && samples.EverySteps is { } every && step % every == 0) Draw(null);
        if (plan.Saves.AfterStep(step) is not { } save) return false;
        WithAverage(() => files.Save(save, step, epoch));
        return true;
    }

    private void EndEpoch()
    {
        ValidateAfterEpoch();
        events?.Report(new EpochDone(epoch, trained.EpochScalars(average.Value, average.State.Slots.Take(batchesDone).Sum(), plan.Length.BatchesPerEpoch)));
        var save = plan.Saves.AfterEpoch(epoch);
        if (save is not null) WithAverage(() => files.Save(save, step, epoch));
        if (settings.Samples.EveryEpochs is { } every && epoch % every == 0) Draw(epoch);
        (epoch, batchesDone, slotShift) = (epoch + 1, 0, 0);
        if (step >= plan.Length.Steps) return;
        if (save is not null && settings.Snapshots.WithSaves || settings.Snapshots.EveryEpochs is { } epochs && (epoch - 1) % epochs == 0) SaveSnapshot();
    }

    private RunResult Finish()
    {
        if (settings.Snapshots.AtEnd || settings.Snapshots.WithSaves) SaveSnapshot();
        return new(step, true, WithAverage(() => files.Save(plan.Saves.Final, step, LastEpoch)));
    }

    // Judging may end a run early, between two epochs or within one.
    private int LastEpoch => !judgedEnough ? plan.Length.Epochs : batchesDone > 0 ? epoch : epoch - 1;

    private RunResult Stop() => new(step, false, SaveSnapshot());

    private void WaitForPause(RunRequests requests, CancellationToken cancel)
    {
        SaveSnapshot();                     // a machine may be switched off while a run is paused
        try { requests.WaitWhilePaused(cancel); }
        catch (OperationCanceledException) { }
    }

    private Tensor Latents(Batch batch, RunRandom random)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var z = batch.Latents?.to(model.Compute.Device) ?? LatentPreparation.Sample(batch.Images!, settings.Cache.VaeBatchSize, model, random);
        if (z.isnan().any().item<bool>())
        {
            if (!compat.NanLatentsAreZero)
                throw new RunException($"the VAE made something that is no number of {string.Join(", ", batch.Keys)}. Use training.precision = \"fp32\", or another VAE.");
            z = z.nan_to_num(0, 0, 0);
        }
        return z.mul(VaeSpec.Sd1.ScaleFactor).MoveToOuterDisposeScope();
    }

    // Some optimizers train other values than those to be used and saved: these stand in for them while something is made of the result.
    private T WithAverage<T>(Func<T> make)
    {
        using var scope = NewDisposeScope();
        if ((ema?.Values ?? (plan.SavesTrainingPoint ? null : updater.Averaged())) is not { } average) return make();
        using var frozen = no_grad();
        var before = trained.Values.clone();
        trained.Values.copy_(average);
        trained.Forget();
        try
        {
            using var recorded = enable_grad(true);
            return make();
        }
        finally
        {
            trained.Values.copy_(before);
            trained.Forget();
        }
    }

    private string? SaveSnapshot()
    {
        using var scope = NewDisposeScope();
        return snapshots.Save(Take());
    }

    private Snapshot Take() => new()
    {
        At = new()
        {
            Step = step,
            Epoch = epoch,
            Batch = batchesDone,
            Updates = updater.Made,
            SlotShift = slotShift,
            Losses = average.State,
            Judged = judged with { BySteps = judgedBySteps.State, Workers = validation?.Save() },
            Loader = loader.Save(),
            Identity = snapshots.Identity,
            Fingerprint = snapshots.Fingerprint,
            Machine = snapshots.Machine,
        },
        NetworkValues = trained.Values,
        NetworkGradients = updater.Leftovers,
        Slots = ema is null ? updater.Slots : new Dictionary<string, Tensor>(updater.Slots) { [NetworkAverage.Slot] = ema.Values },
        Random = random.Save(),
    };

    private void Restore(Snapshot snapshot)
    {
        var at = snapshot.At;
        using var frozen = no_grad();
        trained.Values.copy_(snapshot.NetworkValues);
        trained.Forget();
        updater.Restore(snapshot.Slots, snapshot.NetworkGradients, at.Updates ?? at.Step);
        if (ema is not null) ema.Values.copy_(snapshot.Slots.GetValueOrDefault(NetworkAverage.Slot) ?? snapshot.NetworkValues);
        loader.Restore(at.Loader);
        average.Restore(at.Losses.Slots, at.Losses.Sum);
        judged = at.Judged;
        validation?.Restore(judged.Workers);
        judgedBySteps.Restore(judged.BySteps.Slots, judged.BySteps.Sum);
        judgedEnough = settings.Validation.Patience <= judged.Worse;
        random.Restore(snapshot.Random.Python, snapshot.Random.Torch);
        (step, epoch, batchesDone, slotShift) = (at.Step, at.Epoch, at.Batch, at.SlotShift);
    }
}
