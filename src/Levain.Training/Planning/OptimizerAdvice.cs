using Levain.Core;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Training.Planning;

/// <summary>What the optimizer, its learning rates and the schedule have to say to each other before a run.</summary>
internal static class OptimizerAdvice
{
    private const double LowMultiplier = 0.1, HighRate = 0.01, HighLionRate = 1e-4, LargestCoefficient = 10;
    private const int FewRelativeSteps = 1500;

    /// <summary>Adds what cannot work: rates that differ, for an optimizer that knows one.</summary>
    public static void Check(RunSettings run, Problems problems)
    {
        problems.Require(!run.Optimizer.FollowsSchedule || run.Optimizer.Options.HasMomentum || run.Schedule.TorchOptions?.Momentum(0) is null, "schedule.cycle_momentum",
            $"is on, and {run.Optimizer.Type} has no momentum.", "Switch it off.");
        if (run.Optimizer.Chosen is not { Rates: RateUse.Multiplier } chosen || Differing(run) is not var (where, what)) return;
        problems.Add(where, $"{what}, and {chosen.Name} finds one step length for all parts.",
            "Give all parts the same rate (1 as a rule), leave one part untrained with 0, or use an optimizer with a rate for each, such as AdamW8bit.");
    }

    /// <summary>What the user should know, a sentence or two each.</summary>
    /// <param name="run">The settings.</param>
    /// <param name="steps">Steps of the run.</param>
    public static IEnumerable<string> Of(RunSettings run, int steps)
    {
        var (optimizer, schedule) = (run.Optimizer, run.Schedule);
        if (optimizer.Chosen is not { } chosen) yield break;
        var warmup = schedule.Warmup.Resolve(steps);
        var moves = schedule.Torch is not null || schedule.Type is not (ScheduleType.Constant or ScheduleType.ConstantWithWarmup);
        var how = schedule.Torch ?? TomlMap.Spell(schedule.Type.ToString());
        var rates = new[] { optimizer.LearningRate, optimizer.UnetRate, optimizer.TextEncoderRate }.Where(rate => rate > 0).ToList();
        var highest = rates.DefaultIfEmpty(0).Max();

        if (chosen.Rates is not RateUse.Length)
        {
            if (highest < LowMultiplier)
                yield return $"The learning rate is {highest} with {chosen.Name}, which finds its step length itself and only multiplies it by the rate: it will learn next to nothing. Set it to 1 (0.1 to 1).";
            if (moves)
                yield return schedule.Type is ScheduleType.CosineWithRestarts
                    ? $"The schedule {how} starts again while {chosen.Name} looks for its step length, which then grows too large. Use a constant schedule."
                    : $"The schedule {how} lowers the rate while {chosen.Name} looks for its step length; it may learn too little. Use a constant schedule, unless the run overfits late.";
            if (chosen.Rates is RateUse.FirstGroup && Differing(run) is var (_, what))
                yield return $"{char.ToUpperInvariant(what[0])}{what[1..]}; {chosen.Name} uses the first one for all parts, a rate of 0 included.";
        }
        switch (optimizer.Options)
        {
            case ProdigyOptions { SafeguardWarmup: false } when warmup > 0 || schedule.Type is ScheduleType.CosineWithRestarts:
                yield return "Prodigy takes its step length too large with a warm-up or restarts. Switch safeguard_warmup on, and give the run an epoch or two more.";
                break;
            case ProdigyOptions { DCoef: > LargestCoefficient } prodigy:
                yield return $"d_coef is {prodigy.DCoef}: above 10 nothing good has been reported.";
                break;
            case DAdaptAdamOptions dadapt:
                if (!dadapt.Decouple || dadapt.WeightDecay == 0)
                    yield return $"{chosen.Name} works best with decouple, weight_decay 0.01 and betas [0.9, 0.99].";
                if (dadapt.Preprint) yield return "This is D-Adaptation by the preprint's rule; older guides that say DAdaptation mean DAdaptAdam.";
                if (run.Network.EffectiveAlpha > run.Network.Rank / 2.0)
                    yield return $"Alpha is {run.Network.EffectiveAlpha} at rank {run.Network.Rank}: with D-Adaptation 1 to half the rank has given the best results.";
                break;
            case AdaFactorOptions { RelativeStep: true }:
                if (moves || warmup > 0 || optimizer is { UnetLearningRate: not null } or { TextEncoderLearningRate: not null })
                    yield return "AdaFactor with relative_step makes its rates itself: learning rates and the schedule are not looked at.";
                if (steps < FewRelativeSteps) yield return $"AdaFactor with relative_step learns weakly; {Counted.Of(steps, "step")} {(steps == 1 ? "is" : "are")} few. Give it {FewRelativeSteps} or more, or choose another optimizer.";
                break;
            case AdaFactorOptions:
                if (optimizer.MaxGradNorm != 0) yield return "AdaFactor limits its updates itself; with fixed rates max_grad_norm 0 suits it better.";
                if (schedule.Type is not ScheduleType.ConstantWithWarmup) yield return "AdaFactor with fixed rates wants the schedule constant_with_warmup.";
                break;
            case SgdOptions or Sgd8bitOptions or AsgdOptions:
                yield return $"{chosen.Name} is far too slow for networks: two thousand steps are not near enough. AdamW8bit is the usual choice.";
                break;
            case LionOptions or Lion8bitOptions when highest >= HighLionRate:
                yield return $"The learning rate is {highest} with {chosen.Name}, whose steps are always that long: odd colours have been reported. Use a third to a tenth, and as much more weight_decay.";
                break;
            case AdamWOptions or AdamW8bitOptions or NAdamOptions or CameOptions when highest >= HighRate:
                yield return $"The learning rate is {highest}, a hundred times what {chosen.Name} usually takes: it suits optimizers that find their step length. Use 1e-4, and 5e-5 for the text encoder.";
                break;
        }
        if (chosen.ScheduleFree && (moves || warmup > 0))
            yield return $"{chosen.Name} averages over the run instead of following a schedule: {how} is not looked at. Its own warmup_steps may be set.";
    }

    // What makes the groups' rates differ, and where it is set; null where they are one, zeros aside.
    private static (string Where, string What)? Differing(RunSettings run)
    {
        var (optimizer, network) = (run.Optimizer, run.Network);
        if (run.Trains is not (Trains.Network or Trains.Model)) return null;        // all of it has one rate
        if ((run.Trains is Trains.Model ? run.FineTune.TextEncoder && optimizer.TextEncoderLearningRate is not null : network.Train is TrainedPart.Both) && optimizer is { UnetRate: not 0, TextEncoderRate: not 0 } && optimizer.UnetRate != optimizer.TextEncoderRate)
            return ("optimizer.text_encoder_learning_rate", $"is {optimizer.TextEncoderRate} and the U-Net's {optimizer.UnetRate}");
        if (run.Trains is not Trains.Network) return null;
        double?[] ratios = [network.LoraPlusRatio, network.LoraPlusUnetRatio, network.LoraPlusTextEncoderRatio];
        if (ratios.Any(ratio => ratio is not (null or 1))) return ("network.loraplus_ratio", "gives the up halves a rate of their own");
        if (!network.HasBlockWeights || network.Train is TrainedPart.TextEncoder) return null;
        var blocks = new BlockRates { Down = network.DownWeights?.Spelt(BlockCurve.Side), Mid = network.MidWeight?.Spelt(1), Up = network.UpWeights?.Spelt(BlockCurve.Side), ZeroThreshold = network.BlockZeroThreshold };
        var unreadable = new Problems();
        blocks.Check(unreadable);
        return !unreadable.Any && blocks.Weights.Where(weight => weight != 0).Distinct().Count() > 1 ? ("network.down_weights", "and its fellows give blocks rates of their own") : null;
    }
}
