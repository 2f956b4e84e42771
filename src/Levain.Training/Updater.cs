using Levain.Training.Planning;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Turns gradients into steps: clipping, the optimizer over each group's slice of the flat buffers, the learning rates' schedule.</summary>
internal sealed class Updater : IDisposable
{
    private readonly Trained trained;
    private readonly IReadOnlyList<RateGroup> groups;
    private readonly TrainedParameters parameters;
    private readonly UpdateRule rule;
    private readonly RateCurve? curve;      // null: the rates stay, or the optimizer makes them itself
    private readonly double limit;
    private readonly bool untrainedGrow, climbs;
    private readonly long[][] made;         // updates of each tensor, group by group: an adapter left out of a step counts none
    private readonly double? start;      // the step length to begin with, where one is found
    private readonly int steps, warmup;
    private int updates;

    private const int StuckLeast = 20, StuckShare = 10;

    private const double StuckGrowth = 1.05;

    private const string MadeName = "updates";

    public Updater(Trained trained, RunPlan plan)
    {
        var settings = plan.Settings;
        this.trained = trained;
        groups = trained.Groups;
        parameters = new(trained.Values, trained.Gradients,
            [.. groups.Select(group => new TrainedGroup(group.Rate, [.. group.Tensors.Select(tensor => new TrainedTensor(tensor.Start, tensor.Shape))]))], settings.Optimizer.LearningRate)
        {
            MovesMomentum = settings.Optimizer.FollowsSchedule && settings.Schedule.TorchOptions?.Momentum(0) is not null,
        };
        rule = settings.Optimizer.Options.Create(parameters);
        climbs = settings.Optimizer.Options.Maximize;
        (start, steps, warmup) = (rule.Distance, plan.Length.Steps, settings.Optimizer.FollowsSchedule ? plan.WarmupSteps : 0);
        limit = settings.Optimizer.MaxGradNorm;
        curve = settings.Optimizer.FollowsSchedule ? RateCurve.Of(plan) : null;
        untrainedGrow = settings.Compat.UntrainedGradientsGrow && groups.Sum(group => group.Length) < trained.TrainedLength;
        made = [.. groups.Select(group => new long[group.Tensors.Count])];
    }

    /// <summary>The rate of each group for the next update, with its name and the step length it multiplies, where the optimizer finds one.</summary>
    public IReadOnlyList<GroupRate> Rates
    {
        get
        {
            return [.. groups.Select((group, i) => new GroupRate(group.Name, rule.OwnRates?[i] ?? RateOf(group), rule.Distance))];
        }
    }

    /// <summary>Whether the optimizer makes its rates itself, so that they are known only after an update.</summary>
    public bool MakesRates => rule.OwnRates is not null;

    /// <summary>Updates made, those of earlier runs that were gone on from included.</summary>
    public int Made => updates;

    /// <summary>What the last update showed, in a sentence; null as a rule. A step length that has hardly grown over a tenth of the run, beyond its warm-up, is told once.</summary>
    public string? Warning => start is { } first && rule.Distance is { } now && updates == warmup + Math.Max(StuckLeast, steps / StuckShare) && HasNotStarted(first, now)
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"The step length is still {now:G3} after {updates} updates, and began as {first}: the optimizer has not started. Raise d0 to 1e-5 or 1e-4, or d_coef.") : null;

    /// <summary>Whether a step length stands where it began: one that has started is many times as long.</summary>
    internal static bool HasNotStarted(double first, double now) => now <= first * StuckGrowth;

    /// <summary>What a group's rate is multiplied by, by the group's name; null: 1.</summary>
    public Func<string, double>? Factor { get; set; }

    /// <summary>Length of the last update's gradient, before clipping.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>Whether the last batch was followed by an update.</summary>
    public bool JustUpdated { get; private set; }

    /// <summary>What the optimizer remembers, by name.</summary>
    public IReadOnlyDictionary<string, Tensor> Slots => rule.Memory.Append(new(MadeName, tensor(made.SelectMany(counts => counts).ToArray()))).ToDictionary();

    /// <summary>The values to be used and saved where they are not those being trained, as <see cref="UpdateRule.Averaged"/>.</summary>
    public Tensor? Averaged()
    {
        using var frozen = no_grad();
        return rule.Averaged();
    }

    /// <summary>The gradient, where some of it stays between two steps (K-38); else null.</summary>
    public Tensor? Leftovers => untrainedGrow ? trained.Gradients : null;

    /// <summary>Follows a batch's backward pass.</summary>
    /// <param name="now">Whether an update is due; else gradients go on adding up.</param>
    /// <param name="step">Updates made before.</param>
    public void Step(bool now, int step)
    {
        JustUpdated = now;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        trained.Gather();
        if (!now) return;
        var gradient = trained.Gradients;
        GradientNorm = Training.GradientNorm.Clip(gradient.narrow(0, 0, trained.TrainedLength), limit);
        if (climbs)
            foreach (var group in groups) gradient.narrow(0, group.Start, group.Length).neg_();
        rule.Momentum = curve?.Momentum(updates);
        rule.Step([.. groups.Select((group, i) => new GroupStep(i, RateOf(group), [.. Runs(group, parameters.Groups[i], made[i])]))]);
        updates++;
        if (!untrainedGrow) gradient.zero_();
        else foreach (var group in groups) gradient.narrow(0, group.Start, group.Length).zero_();
        trained.ForgetReached();
        trained.Forget();
    }

    // Neighbouring tensors that a backward pass has reached and that were updated equally often: usually the whole group. The others keep
    // values and memory, decay included, as torch's optimizers pass over tensors without a gradient.
    private static IEnumerable<TensorRun> Runs(RateGroup group, TrainedGroup tensors, long[] counts)
    {
        for (var i = 0; i < counts.Length;)
        {
            var first = i;
            while (i < counts.Length && group.Tensors[i].Reached && counts[i] == counts[first]) i++;
            if (i == first)
            {
                i++;
                continue;
            }
            var count = counts[first] + 1;
            counts.AsSpan(first..i).Fill(count);
            yield return new([.. tensors.Tensors.Skip(first).Take(i - first)], count);
        }
    }

    /// <summary>Goes on from a snapshot.</summary>
    /// <exception cref="RunException">It is one of another optimizer.</exception>
    public void Restore(IReadOnlyDictionary<string, Tensor> saved, Tensor? leftovers, int done)
    {
        using var frozen = no_grad();
        rule.Restore(saved);
        var counted = saved.TryGetValue(MadeName, out var counts) && counts.numel() == made.Sum(group => group.Length) ? counts.data<long>().ToArray()
            : throw new RunException("the snapshot does not say how often each tensor was updated: it is of another run. Start anew without --resume.");
        var position = 0;
        foreach (var group in made)
        {
            counted.AsSpan(position, group.Length).CopyTo(group);
            position += group.Length;
        }
        if (leftovers is not null) trained.Gradients.copy_(leftovers);
        updates = done;
    }

    /// <inheritdoc/>
    public void Dispose() => rule.Dispose();

    private double RateOf(RateGroup group) => (curve?.Rate(updates, group.Rate) ?? group.Rate) * (Factor?.Invoke(group.Name) ?? 1);
}

/// <summary>The learning rate of a group.</summary>
/// <param name="Name">The group, as kohya logs it.</param>
/// <param name="Rate">Its rate.</param>
/// <param name="Distance">The step length that the rate multiplies; null where the rate is the length.</param>
internal sealed record GroupRate(string Name, double Rate, double? Distance);
