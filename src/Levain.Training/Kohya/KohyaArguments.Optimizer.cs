using System.Globalization;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
    private static (OptimizerSettings, IReadOnlyList<KeyValuePair<string, string>>) Optimizer(KohyaCommandLine line, Problems problems)
    {
        var type = line.Text("optimizer_type")!;
        var optimizer = new OptimizerSettings
        {
            Type = type.ToLowerInvariant() is "" or "adamw" || type == "torch.optim.AdamW" ? "AdamW" : type,
            LearningRate = line.Number("learning_rate")!.Value,
            UnetLearningRate = line.Number("unet_lr"),
            TextEncoderLearningRate = line.Numbers("text_encoder_lr") is [var first, ..] ? first : null,
            MaxGradNorm = line.Number("max_grad_norm")!.Value,
        };
        var known = optimizer.Type == "AdamW";
        if (!known) problems.Add("--optimizer_type", $"is {type}, which is not supported.", "Use AdamW.");
        var printed = new List<KeyValuePair<string, string>>();
        foreach (var (name, value) in Literals(line, "optimizer_args", problems))
        {
            printed.Add(new(name, PythonText.Str(value)));
            if (!known) continue;
            var number = value switch { double real => real, long whole => whole, _ => (double?)null };
            switch (name)
            {
                case "weight_decay" when number is { } decay: optimizer = optimizer with { WeightDecay = decay }; break;
                case "eps" when number is { } epsilon: optimizer = optimizer with { Epsilon = epsilon }; break;
                case "betas" when value is PythonTuple { Items: [double or long, double or long] } betas:
                    optimizer = optimizer with { Beta1 = Convert.ToDouble(betas.Items[0], CultureInfo.InvariantCulture), Beta2 = Convert.ToDouble(betas.Items[1], CultureInfo.InvariantCulture) };
                    break;
                case "weight_decay" or "eps" or "betas": problems.Add("--optimizer_args", $"has {name}={PythonText.Repr(value)}.", name == "betas" ? "Write betas=0.9,0.999." : "Give a number."); break;
                case "fused" or "foreach" or "capturable" or "differentiable": break;      // how torch computes, not what
                case "amsgrad" or "maximize" when value is false: break;
                default: problems.Add("--optimizer_args", $"has {name}, which is not supported for AdamW.", "Use weight_decay, betas and eps."); break;
            }
        }
        return (optimizer, printed);
    }

    private static ScheduleSettings Schedule(KohyaCommandLine line, Problems problems)
    {
        var name = line.Text("lr_scheduler")!;
        var names = TomlMap.Names<ScheduleType>().ToList();
        var type = names.IndexOf(name);
        if (type < 0)
            problems.Add("--lr_scheduler", $"is {name}, which is not supported.", name is "adafactor" or "reduce_lr_on_plateau" or "cosine_warmup_with_min_lr"
                ? $"Use one of {string.Join(", ", names)}." : Nearest.Advice(name, names));
        string? rules = null;
        foreach (var (key, value) in Literals(line, "lr_scheduler_args", problems))
        {
            if (key == "step_rules" && value is string text) rules = text;
            else problems.Add("--lr_scheduler_args", $"has {key}={PythonText.Repr(value)}, which is not supported.", "Only piecewise_constant takes one: step_rules=\"1:100,0.1\" with the quotes inside.");
        }
        return new()
        {
            Type = type < 0 ? ScheduleType.Constant : (ScheduleType)type,
            Warmup = line.Value("lr_warmup_steps") as StepsOrShare ?? StepsOrShare.None,
            Decay = line.Value("lr_decay_steps") as StepsOrShare ?? StepsOrShare.None,
            Cycles = line.Whole("lr_scheduler_num_cycles")!.Value,
            Power = line.Number("lr_scheduler_power")!.Value,
            Timescale = line.Whole("lr_scheduler_timescale"),
            MinRatio = line.Number("lr_scheduler_min_lr_ratio"),
            StepRules = rules,
        };
    }
}
