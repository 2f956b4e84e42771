using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
    private static (OptimizerSettings, IReadOnlyList<KeyValuePair<string, string>>) Optimizer(KohyaCommandLine line, Problems problems)
    {
        var type = OptimizerType(line, problems);
        var chosen = Optimizers.Named(type);
        if (chosen is { ByPathInKohya: true } && !type.Contains('.'))
            problems.Add("--optimizer_type", $"is {type}, which kohya does not find by that name.", $"Write {chosen.Aliases[0]}.");
        if (type.Contains('.') && type.StartsWith("dadapt", StringComparison.OrdinalIgnoreCase))
            problems.Add("--optimizer_type", $"is {type}, which kohya takes for one of its own names and does not find.", $"Write {type[(type.LastIndexOf('.') + 1)..]}.");
        var before = problems.All.Count;
        var given = Literals(line, "optimizer_args", problems).Select(pair => KeyValuePair.Create(pair.Name, pair.Value)).ToList();
        // Arguments are only changed, or added, where kohya knows the name; a class with its module gets what was given.
        var known = chosen is not null && !type.Contains('.');
        var made = known ? chosen!.KohyaArguments(given) : given;
        foreach (var (name, _) in given.Where(pair => known && chosen!.GivenByKohya.Contains(pair.Key)))
            problems.Add("--optimizer_args", $"has {name}, which kohya gives {chosen!.Name} itself.", "Leave it out.");
        var optimizer = new OptimizerSettings
        {
            Type = chosen?.Name ?? type,
            LearningRate = line.Number("learning_rate")!.Value,
            UnetLearningRate = line.Number("unet_lr"),
            TextEncoderLearningRate = line.Numbers("text_encoder_lr") is [var first, ..] ? first : line.Number("learning_rate_te"),
            TextEncoderStop = line.Trainer is KohyaTrainers.DreamBooth && line.Whole("stop_text_encoder_training") is >= 0 and var stop ? StepsOrShare.Of(stop) : null,
            MaxGradNorm = line.Number("max_grad_norm")!.Value,
        };
        if (chosen is not null && problems.All.Count == before)
            optimizer = optimizer with { Options = PythonArguments.Read(made.Select(pair => KeyValuePair.Create(chosen.Renamed.GetValueOrDefault(pair.Key, pair.Key), pair.Value)), "--optimizer_args", chosen.Name, chosen.Defaults, static (options, map) => options.Map(map), problems) };
        problems.Require(known || !optimizer.Options.MakesRates, "--optimizer_args", $"lacks relative_step=False, and kohya gives {type} a learning rate besides.", "Give it, or write Adafactor, where kohya sees to it.");
        return (optimizer, [.. made.Select(pair => KeyValuePair.Create(pair.Key, PythonText.Str(pair.Value)))]);
    }

    // Two switches of old stand for names, and exclude each other and a name.
    private static string OptimizerType(KohyaCommandLine line, Problems problems)
    {
        var type = line.Text("optimizer_type")!;
        foreach (var (option, name) in new[] { ("use_8bit_adam", "AdamW8bit"), ("use_lion_optimizer", "Lion") })
        {
            if (!line.Flag(option)) continue;
            problems.Require(type.Length == 0, $"--{option}", $"is given with {(line.Text("optimizer_type") is { Length: > 0 } other ? $"--optimizer_type {other}" : "--use_8bit_adam")}.", "Give one of them.");
            type = name;
        }
        return type;
    }

    private static ScheduleSettings Schedule(KohyaCommandLine line, OptimizerSettings optimizer, Problems problems)
    {
        var name = line.Text("lr_scheduler")!;
        var names = TomlMap.Names<ScheduleType>().Except([RateSchedules.RangeTest.Name]).ToList();     // kohya has none
        var type = names.IndexOf(name);
        var schedule = Plain(line, type < 0 ? null : name);
        // Where the optimizer needs none, kohya makes no schedule and looks at nothing that belongs to one.
        if (optimizer.Chosen is { ScheduleFree: true }) return schedule;
        // AdaFactor's own rates take the place of any schedule; kohya then calls it adafactor, and refuses a warm-up.
        if (optimizer.Options.MakesRates)
        {
            problems.Require(line.Value("lr_warmup_steps") is not StepsOrShare warmup || warmup.Resolve(int.MaxValue) == 0, "--lr_warmup_steps",
                $"is given with {optimizer.Type}, which makes its rates itself.", "Leave it out, or give warmup_init=True to --optimizer_args.");
            return new();
        }
        var torch = line.Text("lr_scheduler_type");
        if (type < 0 && string.IsNullOrEmpty(torch))
            problems.Add("--lr_scheduler", $"is {name}, which is not supported.", name is "adafactor" or "reduce_lr_on_plateau" or "cosine_warmup_with_min_lr"
                ? $"Use one of {string.Join(", ", names)}." : Nearest.Advice(name, names));
        var given = Literals(line, "lr_scheduler_args", problems).Select(pair => KeyValuePair.Create(pair.Name, pair.Value)).ToList();
        if (!string.IsNullOrEmpty(torch))
            return new()
            {
                Warmup = Warmup(line),
                Torch = torch,
                TorchOptions = TorchSchedules.Named(torch) is { } chosen ? PythonArguments.Read(given, "--lr_scheduler_args", chosen.Name, chosen.Defaults, static (options, map) => options.Map(map), problems) : null,
            };
        return PythonArguments.Read(given, "--lr_scheduler_args", name, schedule, (settings, map) => FunctionArguments(settings, map, optimizer.LearningRate), problems);
    }

    // What the functions behind kohya's names take beside what kohya hands them itself.
    private static ScheduleSettings FunctionArguments(ScheduleSettings schedule, TomlMap map, double learningRate) => schedule.Type switch
    {
        ScheduleType.Cosine => schedule with { Waves = map.OptionalNumber("num_cycles", null) },
        ScheduleType.Polynomial => schedule with { EndRate = map.Number("lr_end", schedule.EndRate) },
        ScheduleType.CosineWithMinLr when schedule.MinRatio is null => schedule with { MinRatio = map.OptionalNumber("min_lr", null) / learningRate },
        ScheduleType.PiecewiseConstant => schedule with { StepRules = map.OptionalText("step_rules", null) },
        ScheduleType.WarmupStableDecay => schedule with
        {
            WarmupShape = map.Own("warmup_type", null, Shape, shape => shape, "'linear', 'cosine' or '1-sqrt'")?.Value ?? schedule.WarmupShape,
            DecayShape = map.Own("decay_type", null, Shape, shape => shape, "'linear', 'cosine' or '1-sqrt'")?.Value ?? schedule.DecayShape,
        },
        _ => schedule,
    };

    private static Named? Shape(object name) => name switch
    {
        "linear" => new(RateShape.Linear),
        "cosine" => new(RateShape.Cosine),
        "1-sqrt" => new(RateShape.OneMinusRoot),
        _ => null,
    };

    private sealed record Named(RateShape Value);

    // Of the numbers, each schedule takes those that it knows; kohya hands it no others.
    private static ScheduleSettings Plain(KohyaCommandLine line, string? name)
    {
        var usual = new ScheduleSettings { Type = Enum.GetValues<ScheduleType>().FirstOrDefault(value => TomlMap.Spell(value.ToString()) == name) };
        var type = usual.Type;
        return usual with
        {
            Warmup = type is ScheduleType.PiecewiseConstant ? usual.Warmup : Warmup(line),
            Decay = type is ScheduleType.WarmupStableDecay ? line.Value("lr_decay_steps") as StepsOrShare ?? usual.Decay : usual.Decay,
            Cycles = type is ScheduleType.CosineWithRestarts or ScheduleType.CosineWithMinLr or ScheduleType.WarmupStableDecay ? line.Whole("lr_scheduler_num_cycles")!.Value : usual.Cycles,
            Power = type is ScheduleType.Polynomial ? line.Number("lr_scheduler_power")!.Value : usual.Power,
            Timescale = type is ScheduleType.InverseSqrt ? line.Whole("lr_scheduler_timescale") : usual.Timescale,
            MinRatio = type is ScheduleType.CosineWithMinLr or ScheduleType.WarmupStableDecay ? line.Number("lr_scheduler_min_lr_ratio") : usual.MinRatio,
        };
    }

    private static StepsOrShare Warmup(KohyaCommandLine line) =>
        line.Value("lr_warmup_steps") is StepsOrShare warmup && warmup.Resolve(int.MaxValue) > 0 ? warmup : StepsOrShare.None;
}
