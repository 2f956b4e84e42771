using Levain.Data;
using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    private readonly LossAverage judgedBySteps = new();     // K-25b
    private ValidationState judged = new();
    private bool judgedEnough;

    private void ValidateAfterStep()
    {
        if (settings.Validation.EverySteps is { } every && step % every == 0) Validate(null);
    }

    private void ValidateAfterEpoch()
    {
        if (settings.Validation is { EverySteps: not null, EveryEpochs: null }) return;
        if (epoch % (settings.Validation.EveryEpochs ?? 1) == 0) Validate(epoch);
    }

    // Generators of its own: training goes on as if nothing had been judged.
    private void Validate(int? afterEpoch)
    {
        if (Judge() is { } losses) Note(losses, afterEpoch);
    }

    private LossAverage? Judge()
    {
        if (validation is null or { BatchCount: 0 }) return null;
        using var own = new RunRandom(settings.Validation.Seed ?? plan.Seed);
        var losses = new LossAverage();
        trained.Training = false;
        trained.JudgeWith(own.Python);
        try
        {
            WithAverage(() =>
            {
                var count = 0;
                foreach (var batch in JudgedBatches(validation, own))
                {
                    using var owner = batch;
                    foreach (var timestep in objective.JudgedAt) losses.Add(count++, Judge(batch, timestep, own));
                }
                return count;
            });
        }
        finally { trained.Training = true; }
        loader.AfterJudging();
        return losses;
    }

    private IEnumerable<Batch> JudgedBatches(ValidationLoader pictures, RunRandom own)
    {
        var most = settings.Validation.MaxBatches ?? int.MaxValue;
        if (pictures.Workers.Count > 0) return pictures.Batches(most, own.WorkerSeed, (epoch, loader.Step));
        own.WorkerSeed();                                   // drawn for workers that are not there
        return pictures.Batches(most, own.Python);
    }

    private double Judge(Batch batch, int timestep, RunRandom own)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        Observer?.Judges(own, batch, timestep);
        var z = Latents(batch, own);
        var context = captions.Of(batch.Captions);
        var noised = objective.Noise(z, own, timestep);
        var times = tensor(noised.Timesteps.Select(t => (float)t).ToArray()).to(z.device);
        trained.At(noised.Timesteps);
        var loss = (double)objective.Loss(model.UNet.call(noised.Noisy, times, context), noised, batch.LossWeights, batch.Masks).item<float>();
        Observer?.Judged(loss);
        return loss;
    }

    private void Note(LossAverage losses, int? afterEpoch)
    {
        var mean = losses.Value;
        if (afterEpoch is null && compat.ValidationPilesUp)
        {
            var passed = losses.State.Slots;
            for (var i = 0; i < passed.Length; i++) judgedBySteps.Add(epoch == 1 ? int.MaxValue : i, passed[i]);
            mean = judgedBySteps.Value;
        }
        var best = !(losses.Value >= judged.Best);
        judged = best ? new() { Best = losses.Value, BestStep = step } : judged with { Worse = judged.Worse + 1 };
        var kind = afterEpoch is null ? "step" : "epoch";
        events?.Report(new Validated(step, afterEpoch, mean, best,
            [new($"loss/validation/{kind}_average", mean), new($"loss/validation/{kind}_divergence", mean - average.Value)]));
        if (best && settings.Validation.KeepBest) WithAverage(() => files.Save(plan.Saves.Best(step), step, epoch));
        if (settings.Validation.Patience is not { } patience || judged.Worse < patience || judgedEnough) return;
        judgedEnough = true;
        events?.Report(new RunWarned($"The validation loss has not fallen below {judged.Best:0.0000}, that of step {judged.BestStep}, for {patience} judgements: the run ends at step {step}."));
    }
}

/// <summary>What judgements by pictures that are set aside have come to.</summary>
internal sealed record ValidationState
{
    /// <summary>Lowest loss so far; null before the first.</summary>
    public double? Best { get; init; }

    /// <summary>Steps made when it was found.</summary>
    public int BestStep { get; init; }

    /// <summary>Judgements since then.</summary>
    public int Worse { get; init; }

    /// <summary>K-20: where workers stand that live on; null where there are none.</summary>
    public IReadOnlyList<WorkerState>? Workers { get; init; }

    /// <summary>K-25b: the average by steps.</summary>
    public (double[] Slots, double Sum) BySteps { get; init; } = ([], 0);
}
