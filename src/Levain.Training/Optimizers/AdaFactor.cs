using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>A second moment in rows and columns, and steps relative to the parameters' size.</summary>
    public static Optimizer AdaFactor { get; } = new(
        "AdaFactor", "Almost no memory: a second moment in rows and columns, steps relative to the size of what is trained", new("https://arxiv.org/abs/1804.04235"), new AdaFactorOptions())
    {
        Class = "transformers.optimization.Adafactor",
        Aliases = ["transformers.Adafactor"],
        KohyaArguments = RelativeNamed,
        Advice = "Learns weakly with relative steps: give it more steps, or choose it for the least memory. Fixed: relative_step, scale_parameter and warmup_init off, constant_with_warmup, max_grad_norm 0.",
    };

    // kohya's default is relative; a warm-up of relative steps switches them on.
    private static IReadOnlyList<KeyValuePair<string, object?>> RelativeNamed(IReadOnlyList<KeyValuePair<string, object?>> given)
    {
        List<KeyValuePair<string, object?>> all = given.Any(pair => pair.Key == "relative_step") ? [.. given] : [.. given, new("relative_step", true)];
        var warm = all.Any(pair => pair is { Key: "warmup_init", Value: true or 1L });
        return [.. all.Select(pair => warm && pair is { Key: "relative_step", Value: false or 0L } ? new("relative_step", true) : pair)];
    }
}

/// <summary>Options of <see cref="Optimizers.AdaFactor"/>.</summary>
public sealed record AdaFactorOptions : OptimizerOptions
{
    /// <summary>Makes its own learning rate, 1e-2 or less as steps go by; the learning rates and the schedule are then not looked at. Default on.</summary>
    public bool RelativeStep { get; init; } = true;

    /// <summary>Multiplies the rate by the root mean square of the tensor, at least the second of <see cref="Eps"/>. Default on.</summary>
    public bool ScaleParameter { get; init; } = true;

    /// <summary>Relative steps that begin at 1e-6 and take 10,000 steps to reach 1e-2. Default off; the guide: on.</summary>
    public bool WarmupInit { get; init; }

    /// <summary>Added to squared gradients, and the least size of a tensor. Default [1e-30, 1e-3].</summary>
    public IReadOnlyList<double> Eps { get; init; } = [1e-30, 1e-3];

    /// <summary>Longest update, as a root mean square. Default 1.</summary>
    public double ClipThreshold { get; init; } = 1;

    /// <summary>Power of the step number that the second moment forgets with. Default −0.8.</summary>
    public double DecayRate { get; init; } = -0.8;

    /// <summary>Share of the old first moment that a step keeps; null: there is none.</summary>
    public double? Beta1 { get; init; }

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override bool MakesRates => RelativeStep;

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map) => this with
    {
        RelativeStep = map.Flag("relative_step", RelativeStep),
        ScaleParameter = map.Flag("scale_parameter", ScaleParameter),
        WarmupInit = map.Flag("warmup_init", WarmupInit),
        Eps = map.Numbers("eps", Eps)!,
        ClipThreshold = map.Number("clip_threshold", ClipThreshold),
        DecayRate = map.Number("decay_rate", DecayRate),
        Beta1 = map.OptionalNumber("beta1", Beta1),
        WeightDecay = map.Number("weight_decay", WeightDecay),
    };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Eps.Count == 2 && Eps.All(eps => eps >= 0), "eps", $"is [{string.Join(", ", Eps)}].", "Give two numbers: [1e-30, 1e-3].");
        problems.Require(ClipThreshold > 0, "clip_threshold", $"is {ClipThreshold}.", "Use a positive number; 1 is usual.");
        problems.Require(DecayRate < 0, "decay_rate", $"is {DecayRate}.", "Use a negative number; -0.8 is usual.");
        problems.Require(Beta1 is null or >= 0 and < 1, "beta1", $"is {Beta1}.", "Leave it out, or use 0 to below 1.");
        CheckDecay(problems, WeightDecay);
        problems.Require(!WarmupInit || RelativeStep, "warmup_init", "is on without relative_step.", "Switch relative_step on, or warm up with the schedule.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdaFactorRule(this, parameters);
}

// Shazeer and Stern 2018, algorithms 4 and 5, as transformers 4.54 computes them: tensor by tensor, convolutions by their last two sides.
internal sealed unsafe class AdaFactorRule : UpdateRule
{
    private const double SmallestWarmup = 1e-6, LargestStep = 1e-2;

    private readonly AdaFactorOptions options;
    private readonly FactoredMoment square;
    private readonly Tensor? mean;
    private readonly Number[] rates;

    public AdaFactorRule(AdaFactorOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        square = new(parameters, "exp_avg_sq", vectors: true, (name, length) => Slot(name, length));
        mean = options.Beta1 is null ? null : Slot("exp_avg");
        rates = [.. parameters.Groups.Select((_, i) => Remember($"rate{i}", parameters.LearningRate))];
    }

    public override IReadOnlyList<double>? OwnRates => options.RelativeStep ? [.. rates.Select(rate => rate.Value)] : null;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var tensors = run.Tensors.ToLookup(tensor => FactoredMoment.IsFused(Parameters, tensor));
                foreach (var tensor in tensors[false]) Note(tensor, group, Update(tensor, group.Rate, run.Update));
                var (p, g, m) = (ElementLoop.Address<float>(Values), ElementLoop.Address<float>(Gradients), mean is null ? 0 : ElementLoop.Address<float>(mean));
                FactoredMoment.ForEach([.. tensors[true]], tensor =>
                    Note(tensor, group, Update(tensor, (float*)p + tensor.Start, (float*)g + tensor.Start, mean is null ? null : (float*)m + tensor.Start, group.Rate, run.Update)));
            }
    }

    private void Note(TrainedTensor tensor, GroupStep group, double rate)
    {
        if (tensor == Parameters.Groups[group.Group].Tensors[0]) rates[group.Group].Value = rate;
    }

    private double Update(TrainedTensor tensor, double rate, long update)
    {
        using var scope = NewDisposeScope();
        var (p, g) = (tensor.Of(Values), tensor.Of(Gradients));
        rate = Rate(rate, update, () => Rms(p));
        var u = square.Divide(tensor, g.square().add_(options.Eps[0]), g, 1 - Math.Pow(update, options.DecayRate));
        u.mul_(rate / Math.Max(1, Rms(u) / options.ClipThreshold));
        if (mean is not null)
        {
            var m = tensor.Of(mean);
            u = m.mul_(options.Beta1!.Value).add_(u, 1 - options.Beta1.Value);
        }
        if (options.WeightDecay != 0) p.mul_(1 - options.WeightDecay * rate);
        p.sub_(u);
        return rate;
    }

    private double Rate(double rate, long update, Func<double> size)
    {
        if (options.RelativeStep) rate = Math.Min(options.WarmupInit ? SmallestWarmup * update : LargestStep, 1 / Math.Sqrt(update));
        return options.ScaleParameter ? rate * Math.Max(options.Eps[1], size()) : rate;
    }

    // The same, row by row; m is null where there is no momentum.
    private double Update(TrainedTensor tensor, float* p, float* g, float* m, double rate, long update)
    {
        double rms(double squares) => Math.Sqrt(squares / tensor.Length);
        rate = Rate(rate, update, () => rms(SumOfSquares(p, tensor.Length)));
        var moment = square.TakeIn(tensor, g, options.Eps[0], 1 - Math.Pow(update, options.DecayRate));
        var length = rate / Math.Max(1, rms(moment.Run(row => new Measure(row), p, g, null)) / options.ClipThreshold);
        var stay = 1 - options.WeightDecay * rate;
        if (m is null) moment.Run(row => new Move(row, length, stay), p, g, null);
        else moment.Run(row => new MoveByMean(row, length, stay, options.Beta1!.Value), p, g, m);
        return rate;
    }

    private static double SumOfSquares(float* numbers, long count)
    {
        Span<double> sums = stackalloc double[3];
        sums.Clear();
        ElementLoop.Go(new Squares(), null, numbers, null, null, null, null, null, (int)count, sums);
        return sums[0];
    }

    private readonly struct Measure(double row) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var u = x.G * row * x.A;
            x.Sum1 = u * u;
        }
    }

    private readonly struct Move(double row, double length, double stay) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * stay - x.G * row * x.A * length;
    }

    private readonly struct MoveByMean(double row, double length, double stay, double keep) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.B = x.B * keep + x.G * row * x.A * (length * (1 - keep));
            x.P = x.P * stay - x.B;
        }
    }

    internal static double Rms(Tensor tensor) => tensor.norm().to(ScalarType.Float64).item<double>() / Math.Sqrt(tensor.numel());
}
