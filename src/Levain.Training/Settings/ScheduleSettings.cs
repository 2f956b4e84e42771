using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>How the learning rate moves over a run; the formulas are in the schedule of the same name.</summary>
public enum ScheduleType
{
    /// <summary>Stays.</summary>
    Constant,

    /// <summary>Rises over the warm-up, then stays.</summary>
    ConstantWithWarmup,

    /// <summary>Falls in a line to 0.</summary>
    Linear,

    /// <summary>Falls along half a cosine to 0.</summary>
    Cosine,

    /// <summary>Falls along a cosine and starts again, <c>cycles</c> times.</summary>
    CosineWithRestarts,

    /// <summary>Falls along a power to 1e-7.</summary>
    Polynomial,

    /// <summary>Falls with the root of the step.</summary>
    InverseSqrt,

    /// <summary>Falls along a cosine to <c>min_ratio</c>.</summary>
    CosineWithMinLr,

    /// <summary>Warms up, stays, and falls over the last <c>decay</c> steps.</summary>
    WarmupStableDecay,

    /// <summary>Steps written out: <c>"1:5,0.3:12,0.1"</c> is 1 up to step 5, 0.3 up to step 12, then 0.1.</summary>
    PiecewiseConstant,

    /// <summary>Rises by the same factor each step from <c>min_ratio</c> (1e-4 where null) of the rate to all of it: finds the learning rate, and draws the plot.</summary>
    RangeTest,
}

/// <summary>The <c>[schedule]</c> table: how the learning rate moves.</summary>
public sealed record ScheduleSettings
{
    /// <summary>
    /// Shape of the curve; <c>range_test</c> finds the learning rate: it rises by the same factor each step from <c>min_ratio</c> of <c>optimizer.learning_rate</c> to all of
    /// it, and <c>learning-rates.png</c> in the output folder shows the loss over the rate. Default constant.
    /// </summary>
    public ScheduleType Type { get; init; } = ScheduleType.Constant;

    /// <summary>Steps over which the rate rises from 0, as steps or as a share of the run. Default none.</summary>
    public StepsOrShare Warmup { get; init; } = StepsOrShare.None;

    /// <summary>Steps over which <see cref="ScheduleType.WarmupStableDecay"/> falls at the end. Default none.</summary>
    public StepsOrShare Decay { get; init; } = StepsOrShare.None;

    /// <summary>Cycles of the cosine schedules. Default 1.</summary>
    public int Cycles { get; init; } = 1;

    /// <summary>Power of the polynomial. Default 1.</summary>
    public double Power { get; init; } = 1;

    /// <summary>Time scale of <see cref="ScheduleType.InverseSqrt"/>, steps; null: the warm-up, or 10,000 without one.</summary>
    public int? Timescale { get; init; }

    /// <summary>Lowest rate as a share of the highest, 0..1, for <see cref="ScheduleType.CosineWithMinLr"/> (required), <see cref="ScheduleType.WarmupStableDecay"/> (0 where null) and <see cref="ScheduleType.RangeTest"/> (1e-4 where null).</summary>
    public double? MinRatio { get; init; }

    /// <summary>Rules of <see cref="ScheduleType.PiecewiseConstant"/>: factor:step pairs, then the last factor.</summary>
    public string? StepRules { get; init; }

    /// <summary>Half waves of <see cref="ScheduleType.Cosine"/>, as a share of whole waves; null: one half.</summary>
    public double? Waves { get; init; }

    /// <summary>Rate at which <see cref="ScheduleType.Polynomial"/> ends. Default 1e-7.</summary>
    public double EndRate { get; init; } = 1e-7;

    /// <summary>Shape of the rise of <see cref="ScheduleType.WarmupStableDecay"/>. Default linear.</summary>
    public RateShape WarmupShape { get; init; } = RateShape.Linear;

    /// <summary>Shape of the fall of <see cref="ScheduleType.WarmupStableDecay"/>. Default cosine.</summary>
    public RateShape DecayShape { get; init; } = RateShape.Cosine;

    /// <summary>A class of <c>torch.optim.lr_scheduler</c> in place of <see cref="Type"/>, such as <c>OneCycleLR</c>; its own arguments are further keys of this table. Null: none.</summary>
    public string? Torch { get; init; }

    /// <summary>What belongs to the torch schedule alone; null without one.</summary>
    public TorchScheduleOptions? TorchOptions
    {
        get => Torch is null ? null : torchOptions ?? TorchSchedules.Named(Torch)?.Defaults;
        init => torchOptions = value;
    }

    private readonly TorchScheduleOptions? torchOptions;

    /// <summary>The table's keys.</summary>
    public static ScheduleSettings Map(ScheduleSettings schedule, TomlMap map)
    {
        var torch = map.OptionalText("torch", schedule.Torch);
        var usual = torch is null ? null : TorchSchedules.Named(torch)?.Defaults;
        var options = usual is null ? null : map.Part(torch == schedule.Torch ? schedule.TorchOptions ?? usual : usual, usual, static (options, keys) => options.Map(keys));
        return MapOwn(schedule, map, options is null) with { Torch = torch, TorchOptions = options };
    }

    private static ScheduleSettings MapOwn(ScheduleSettings schedule, TomlMap map, bool alone) => !alone ? schedule : schedule with
    {
        Type = map.Choice("type", schedule.Type),
        Warmup = map.Own("warmup", schedule.Warmup, StepsOrShare.Read, length => length.Write(), StepsOrShare.Form)!,
        Decay = map.Own("decay", schedule.Decay, StepsOrShare.Read, length => length.Write(), StepsOrShare.Form)!,
        Cycles = map.Whole("cycles", schedule.Cycles),
        Power = map.Number("power", schedule.Power),
        Timescale = map.OptionalWhole("timescale", schedule.Timescale),
        MinRatio = map.OptionalNumber("min_ratio", schedule.MinRatio),
        StepRules = map.OptionalText("step_rules", schedule.StepRules),
        Waves = map.OptionalNumber("waves", schedule.Waves),
        EndRate = map.Number("end_rate", schedule.EndRate),
        WarmupShape = map.Choice("warmup_shape", schedule.WarmupShape),
        DecayShape = map.Choice("decay_shape", schedule.DecayShape),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="learningRate">The run's learning rate; null leaves it out.</param>
    /// <param name="steps">Steps of the run, of which shares are taken; null where they are not known yet.</param>
    /// <param name="kohya">Whether numbers that make a curve of no use are taken as kohya takes them.</param>
    public void Check(Problems problems, double? learningRate = null, int? steps = null, bool kohya = false)
    {
        if (Torch is not null)
        {
            if (TorchOptions is { } torch) torch.Check(problems);
            else problems.Add("torch", $"is \"{Torch}\".", Torch.EndsWith("ReduceLROnPlateau", StringComparison.Ordinal) ? "It needs a loss at every step, which kohya does not give it either; use another schedule."
                : Nearest.Advice(Torch, [.. TorchSchedules.All.Select(known => known.Name)]));
            problems.Require(Warmup.Resolve(steps ?? int.MaxValue) == 0, "warmup", $"is {Warmup} with {Torch}, which has no warm-up.", "Leave it out.");
            return;
        }
        problems.Require(kohya || Waves is null or > 0, "waves", $"is {Waves}.", "Use a positive number; 0.5 falls once.");
        problems.Require(Type is not ScheduleType.Polynomial || learningRate is not { } rate || rate > EndRate, "end_rate",
            $"is {EndRate}, not below the learning rate of {learningRate}.", "Use a higher learning rate, or another schedule.");
        problems.Require(EndRate >= 0, "end_rate", $"is {EndRate}.", "Use 0 or more; 1e-7 is usual.");
        problems.Require(Type is not (ScheduleType.Constant or ScheduleType.PiecewiseConstant) || Warmup.Resolve(steps ?? int.MaxValue) == 0, "warmup",
            $"is {Warmup} with type {TomlMap.Spell(Type.ToString())}, which has no warm-up.", "Use type = \"constant_with_warmup\", or leave warmup out.");
        problems.Require(Decay.Resolve(int.MaxValue) == 0 || Type is ScheduleType.WarmupStableDecay, "decay",
            $"is {Decay} with type {TomlMap.Spell(Type.ToString())}, which has no decay of its own.", "Use type = \"warmup_stable_decay\", or leave decay out.");
        problems.Require(Cycles >= (kohya ? 0 : 1), "cycles", $"is {Cycles}.", "Use 1 or more.");
        problems.Require(Power > 0 || kohya && Power == 0, "power", $"is {Power}.", "Use a positive number; 1 is a line.");
        problems.Require(Timescale is null or > 0, "timescale", $"is {Timescale}.", "Use a positive number of steps.");
        problems.Require(kohya || MinRatio is null or >= 0 and <= 1, "min_ratio", $"is {MinRatio}.", "Use 0 to 1; 0.1 ends at a tenth of the rate.");
        problems.Require(Type is not ScheduleType.CosineWithMinLr || MinRatio is not null, "min_ratio", "is not given with type cosine_with_min_lr.", "Give the lowest rate as a share: min_ratio = 0.1.");
        problems.Require(kohya || Type is not ScheduleType.WarmupStableDecay || Decay.Resolve(int.MaxValue) > 0, "decay", "is not given with type warmup_stable_decay.", "Give the length of the fall: decay = 0.2.");
        problems.Require(Type is not ScheduleType.PiecewiseConstant || PiecewiseRules.Parse(StepRules) is not null, "step_rules",
            StepRules is null ? "is not given with type piecewise_constant." : $"is \"{StepRules}\".", "Write factor:step pairs and a last factor: step_rules = \"1:100,0.3:200,0.1\".");
    }
}
