using System.Text.Json;
using Levain.Core;
using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Metadata;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>The problem of <c>tests/golden/optimizers</c>: a few small tensors, a target, and noise; walked by an optimizer as a recorded row asks for.</summary>
internal sealed class RecordedTrajectory : IDisposable
{
    private readonly JsonElement row;
    private readonly ScalarType dtype;
    private readonly Tensor target, scale;
    private readonly TrainedParameters parameters;
    private readonly List<TrainedTensor> tensors = [];

    /// <param name="row">A row of cases.json or acceptance.json.</param>
    /// <param name="dtype">Precision of everything.</param>
    public RecordedTrajectory(JsonElement row, Optimizer optimizer, OptimizerOptions options, ScalarType dtype = ScalarType.Float32, bool fused = true)
    {
        (this.row, this.dtype, Optimizer) = (row, dtype, optimizer);
        Names = row.TryGetProperty("tensors", out var names) ? [.. names.EnumerateArray().Select(name => name.GetString()!)] : ["A", "B", "C", "Z"];
        var start = 0L;
        foreach (var name in Names)
        {
            tensors.Add(new(start, ShapeOf(name)));
            start += tensors[^1].Length;
        }
        var values = Flat(name => name == "Z" ? zeros(ShapeOf(name)) : Synth.Input("optim.p0." + name, ShapeOf(name)) * 0.1);
        target = Flat(name => Synth.Input("optim.target." + name, ShapeOf(name)));
        scale = Flat(name => full(ShapeOf(name), name == "C" ? 0.1 : 1.0, dtype));
        var rate = row.GetProperty("learning_rate").GetDouble();
        var groups = row.GetProperty("groups") is { ValueKind: JsonValueKind.Array } list
            ? list.EnumerateArray().Select(group => new TrainedGroup(group.GetProperty("lr").GetDouble(), [.. group.GetProperty("names").EnumerateArray().Select(name => tensors[Names.IndexOf(name.GetString()!)])])).ToList()
            : [new TrainedGroup(rate, [.. tensors])];
        parameters = new(values, zeros_like(values).DetachFromDisposeScope(), groups, rate) { Fused = fused };
        using var frozen = no_grad();
        Rule = options.Create(parameters);
    }

    public Optimizer Optimizer { get; }

    public List<string> Names { get; }

    public UpdateRule Rule { get; }

    public IReadOnlyList<TrainedGroup> Groups => parameters.Groups;

    /// <summary>Norm of the gradient before clipping.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>The optimizer and options that a row asks for; null where we refuse it, with the reasons in the problems.</summary>
    public static (Optimizer Optimizer, OptimizerOptions Options)? Read(JsonElement row, Problems problems)
    {
        var (settings, all) = Settings(row);
        foreach (var problem in all.All.Where(problem => problem.Where.Contains("optimizer"))) problems.Add(problem.Where, problem.What, problem.Fix);
        settings.Optimizer.Check(problems);
        return problems.Any ? null : (settings.Optimizer.Chosen!, settings.Optimizer.Options);
    }

    private static (RunSettings, Problems) Settings(JsonElement row)
    {
        string[] words = ["--pretrained_model_name_or_path", "m.safetensors", "--optimizer_type", row.GetProperty("optimizer_type").GetString()!, "--learning_rate", row.GetProperty("learning_rate").GetDouble().ToString("R", System.Globalization.CultureInfo.InvariantCulture)];
        var args = row.GetProperty("optimizer_args").EnumerateArray().Select(word => word.GetString()!).ToList();
        return KohyaArguments.Read([.. words, .. args.Count == 0 ? [] : args.Prepend("--optimizer_args")]);
    }

    /// <summary>What is written of the optimizer into a file's metadata.</summary>
    public static string Metadata(JsonElement row)
    {
        var (settings, _) = Settings(row);
        return LoraMetadata.OptimizerText(settings);
    }

    /// <summary>Makes step <paramref name="step"/>, counted from 1.</summary>
    public void Step(int step)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var noise = Flat(name => Synth.Input($"optim.noise.{name}.{step}", ShapeOf(name)));
        parameters.Gradients.copy_((parameters.Values - target) * scale + noise * 0.3);
        noise.Dispose();
        if (row.TryGetProperty("clip_grad_norm", out var limit) && limit.ValueKind == JsonValueKind.Number)
            GradientNorm = Levain.Training.GradientNorm.Clip(parameters.Gradients, limit.GetDouble());
        var factor = row.TryGetProperty("lr_mult", out var factors) && factors.ValueKind == JsonValueKind.Array ? factors[step - 1].GetDouble() : 1;
        Rule.Step([.. Groups.Select((group, i) => new GroupStep(i, group.Rate * factor, [new(group.Tensors, step)]))]);
    }

    /// <summary>A tensor's values now.</summary>
    public Tensor Value(string name) => Of(name, parameters.Values);

    /// <summary>A tensor's part of any flat buffer.</summary>
    public Tensor Of(string name, Tensor flat) => tensors[Names.IndexOf(name)].Of(flat);

    public void Dispose()
    {
        Rule.Dispose();
        foreach (var tensor in new[] { target, scale, parameters.Values, parameters.Gradients }) tensor.Dispose();
    }

    public static long[] ShapeOf(string name) => name switch { "A" => [24, 20], "B" => [20], "C" => [8, 4, 3, 3], "Z" => [12, 10], _ => [70, 61] };

    private Tensor Flat(Func<string, Tensor> make)
    {
        using var scope = NewDisposeScope();
        return cat([.. Names.Select(name => make(name).to(dtype).flatten())]).DetachFromDisposeScope();
    }
}
