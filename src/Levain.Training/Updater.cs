using Levain.Core;
using Levain.Networks;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Turns gradients into steps: clipping, the optimizer over each group's slice of the flat buffers, the learning rates' schedule.</summary>
internal sealed class Updater : IDisposable
{
    private readonly Network network;
    private readonly IReadOnlyList<ParameterGroup> groups;
    private readonly Optimizer optimizer;
    private readonly OptimizerOptions options;
    private readonly RateSchedule schedule;
    private readonly RateOptions rates;
    private readonly double limit;
    private readonly bool untrainedGrow;
    private readonly Tensor[] slots;
    private readonly long[][] made;         // updates of each tensor, group by group: an adapter left out of a step counts none
    private int updates;

    private const string MadeName = "updates";

    public Updater(Network network, RunPlan plan)
    {
        var settings = plan.Settings;
        this.network = network;
        groups = network.Groups(settings.Optimizer.TextEncoderRate, settings.Optimizer.UnetRate);
        optimizer = Optimizers.Named(settings.Optimizer.Type)!;
        options = new() { Beta1 = settings.Optimizer.Beta1, Beta2 = settings.Optimizer.Beta2, Epsilon = settings.Optimizer.Epsilon, WeightDecay = settings.Optimizer.WeightDecay };
        limit = settings.Optimizer.MaxGradNorm;
        (schedule, rates) = RatesOf(plan);
        untrainedGrow = settings.Compat.UntrainedGradientsGrow && groups.Sum(group => group.Length) < network.TrainedLength;
        slots = [.. optimizer.Slots.Select(_ => zeros_like(network.Values).DetachFromDisposeScope())];
        made = [.. groups.Select(group => new long[group.Parameters.Count])];
    }

    /// <summary>The rate of each group for the next update, with its name.</summary>
    public IReadOnlyList<(string Name, double Rate)> Rates
    {
        get
        {
            var factor = schedule.Factor(updates, rates);
            return [.. groups.Select(group => (group.Name, group.Rate * factor))];
        }
    }

    /// <summary>Length of the last update's gradient, before clipping.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>Whether the last batch was followed by an update.</summary>
    public bool JustUpdated { get; private set; }

    /// <summary>What the optimizer remembers, by name.</summary>
    public IReadOnlyDictionary<string, Tensor> Slots =>
        optimizer.Slots.Zip(slots).Append((MadeName, tensor(made.SelectMany(counts => counts).ToArray()))).ToDictionary(pair => pair.Item1, pair => pair.Item2);

    /// <summary>The gradient, where some of it stays between two steps (K-38); else null.</summary>
    public Tensor? Leftovers => untrainedGrow ? network.Gradients : null;

    /// <summary>Follows a batch's backward pass.</summary>
    /// <param name="now">Whether an update is due; else gradients go on adding up.</param>
    /// <param name="step">Updates made before.</param>
    public void Step(bool now, int step)
    {
        JustUpdated = now;
        if (!now) return;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var gradient = network.Gradients;
        GradientNorm = Training.GradientNorm.Clip(gradient.narrow(0, 0, network.TrainedLength), limit);
        var factor = schedule.Factor(updates, rates);
        updates++;
        foreach (var (group, counts) in groups.Zip(made))
            foreach (var (start, length, count) in Runs(group, counts))
            {
                var slices = slots.Select(slot => slot.narrow(0, start, length)).ToArray();
                optimizer.Update(options, network.Values.narrow(0, start, length), gradient.narrow(0, start, length), slices, group.Rate * factor, count);
            }
        if (!untrainedGrow) gradient.zero_();
        else foreach (var group in groups) gradient.narrow(0, group.Start, group.Length).zero_();
        network.ForgetReached();
        network.Forget();
    }

    // Neighbouring tensors that a backward pass has reached and that were updated equally often: usually the whole group. The others keep
    // values and memory, decay included, as torch's optimizers pass over tensors without a gradient.
    private static IEnumerable<(long Start, long Length, long Count)> Runs(ParameterGroup group, long[] counts)
    {
        for (var i = 0; i < counts.Length;)
        {
            var first = i;
            while (i < counts.Length && group.Parameters[i].Adapter.Reached && counts[i] == counts[first]) i++;
            if (i == first)
            {
                i++;
                continue;
            }
            var count = counts[first] + 1;
            counts.AsSpan(first..i).Fill(count);
            var (from, to) = (group.Parameters[first], group.Parameters[i - 1]);
            yield return (from.Start, to.Start + to.Length - from.Start, count);
        }
    }

    /// <summary>Goes on from a snapshot.</summary>
    /// <exception cref="RunException">It is one of another optimizer.</exception>
    public void Restore(IReadOnlyDictionary<string, Tensor> saved, Tensor? leftovers, int done)
    {
        using var frozen = no_grad();
        for (var i = 0; i < slots.Length; i++)
        {
            if (!saved.TryGetValue(optimizer.Slots[i], out var slot) || slot.numel() != slots[i].numel())
                throw new RunException($"the snapshot holds no '{optimizer.Slots[i]}' of this network's size: it is of another run. Start anew without --resume.");
            slots[i].copy_(slot);
        }
        var counted = saved.TryGetValue(MadeName, out var counts) && counts.numel() == made.Sum(group => group.Length) ? counts.data<long>().ToArray()
            : throw new RunException("the snapshot does not say how often each tensor was updated: it is of another run. Start anew without --resume.");
        var position = 0;
        foreach (var group in made)
        {
            counted.AsSpan(position, group.Length).CopyTo(group);
            position += group.Length;
        }
        if (leftovers is not null) network.Gradients.copy_(leftovers);
        updates = done;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var slot in slots) slot.Dispose();
    }

    private static (RateSchedule, RateOptions) RatesOf(RunPlan plan)
    {
        var settings = plan.Settings.Schedule;
        var schedule = RateSchedules.Named(TomlMap.Spell(settings.Type.ToString()))!;
        var rules = PiecewiseRules.Parse(settings.StepRules);
        // kohya hands these two half of its number of cycles, so that they run whole halves; a plain cosine has no number at all.
        var cycles = settings.Type switch
        {
            ScheduleType.CosineWithRestarts => settings.Cycles,
            ScheduleType.CosineWithMinLr or ScheduleType.WarmupStableDecay => settings.Cycles / 2.0,
            _ => (double?)null,
        };
        return (schedule, new()
        {
            Total = plan.Length.Steps,
            Warmup = plan.WarmupSteps,
            Decay = plan.DecaySteps,
            Cycles = cycles,
            Power = settings.Power,
            Timescale = settings.Timescale,
            MinRatio = settings.MinRatio,
            Rate = plan.Settings.Optimizer.LearningRate,
            Pieces = rules?.Pieces ?? [],
            LastPiece = rules?.Last ?? 1,
        });
    }
}
