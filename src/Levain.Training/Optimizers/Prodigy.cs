using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam that finds its step length from the distance walked.</summary>
    public static Optimizer Prodigy { get; } = new(
        "Prodigy", "Adam that finds its step length itself, a little more boldly than D-Adaptation", new("https://arxiv.org/abs/2306.06101"), new ProdigyOptions())
    {
        Class = "prodigyopt.prodigy.Prodigy",
        Aliases = ["prodigyopt.Prodigy"],
        Rates = RateUse.Multiplier,
        NeedsRate = true,
        Advice = "Learning rate 1 for all parts, a constant schedule, decouple, weight_decay 0.01, betas [0.9, 0.99], use_bias_correction, d_coef 2 (0.5 to 2; up to 10 for rank 8 and below, LoKr and IA³); safeguard_warmup with any warm-up.",
    };
}

/// <summary>Options of <see cref="Optimizers.Prodigy"/>.</summary>
public sealed record ProdigyOptions : OptimizerOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1; a first share of 0 does without a first moment. Default [0.9, 0.999]; the guide: [0.9, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Share of the old sums that a step keeps in finding the step length; null: the root of the second of <see cref="Betas"/>.</summary>
    public double? Beta3 { get; init; }

    /// <summary>Added, times the step length, to the root of the second moment; above 0. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights. Default 0; the guide: 0.01.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether weights decay apart from the gradient, as in AdamW. Default on.</summary>
    public bool Decouple { get; init; } = true;

    /// <summary>Corrects the moments of the first steps, as Adam does; first steps are then shorter. Default off; the guide: on.</summary>
    public bool UseBiasCorrection { get; init; }

    /// <summary>Leaves the learning rate out of what estimates the step length, which a warm-up would make too large. Default off; the guide: on with any warm-up.</summary>
    public bool SafeguardWarmup { get; init; }

    /// <summary>Step length to begin with, above 0. Default 1e-6; 1e-5 or 1e-4 where it does not grow.</summary>
    public double D0 { get; init; } = 1e-6;

    /// <summary>Multiplies the step length found. Default 1; the guide: 2, usable from 0.5 to 10.</summary>
    public double DCoef { get; init; } = 1;

    /// <summary>Most that the step length may grow in a step, as a factor; null: no limit.</summary>
    public double? GrowthRate { get; init; }

    /// <summary>Looks at every n-th element only to find the step length; 11 saves nearly half of the memory. Default 1.</summary>
    public int SliceP { get; init; } = 1;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "fsdp_in_use");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Beta3 = map.OptionalNumber("beta3", Beta3),
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Decouple = map.Flag("decouple", Decouple),
            UseBiasCorrection = map.Flag("use_bias_correction", UseBiasCorrection),
            SafeguardWarmup = map.Flag("safeguard_warmup", SafeguardWarmup),
            D0 = map.Number("d0", D0),
            DCoef = map.Number("d_coef", DCoef),
            GrowthRate = map.OptionalNumber("growth_rate", GrowthRate),
            SliceP = map.Whole("slice_p", SliceP),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps, aboveZero: true);
        CheckDecay(problems, WeightDecay);
        problems.Require(Beta3 is null or >= 0 and <= 1, "beta3", $"is {Beta3}.", "Leave it out, or use 0 to 1.");
        problems.Require(D0 > 0, "d0", $"is {D0}.", "Use a small number above 0; 1e-6 is usual.");
        problems.Require(DCoef > 0, "d_coef", $"is {DCoef}.", "Use 0.5 to 2; up to 10 for very small networks.");
        problems.Require(GrowthRate is null or >= 1, "growth_rate", $"is {GrowthRate}.", "Use a factor above 1, such as 1.02, or leave it out.");
        problems.Require(SliceP >= 1, "slice_p", $"is {SliceP}.", "Use 1, or 11 to save memory.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new ProdigyRule(this, parameters);
}

// Mishchenko and Defazio 2023, algorithm 4, as prodigyopt 1.1.2 computes it: one d for all groups; moments are scaled by it, so that they need no change as it grows.
internal sealed class ProdigyRule : UpdateRule
{
    private readonly ProdigyOptions options;
    private readonly Tensor? mean;
    private readonly Tensor square, walked, origin;
    private readonly Number d, largest, numerator, done;
    private readonly Dictionary<TrainedTensor, long> slices = [];

    public ProdigyRule(ProdigyOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        mean = options.Betas[0] == 0 && !parameters.MovesMomentum ? null : Slot("exp_avg");
        square = Slot("exp_avg_sq");
        // Where only every n-th element is looked at, their memory is laid out like the tensors, one behind the other.
        var position = 0L;
        foreach (var tensor in parameters.Groups.SelectMany(group => group.Tensors))
        {
            slices[tensor] = position;
            position += (tensor.Length + options.SliceP - 1) / options.SliceP;
        }
        if (options.SliceP == 1)
        {
            walked = Slot("s");
            origin = Keep("p0", Values.narrow(0, 0, parameters.Length).clone());
        }
        else
        {
            using var scope = NewDisposeScope();
            walked = Slot("s", position);
            origin = Keep("p0", cat([.. parameters.Groups.SelectMany(group => group.Tensors).Select(tensor => Every(tensor, Values))]));
        }
        (d, largest, numerator, done) = (Remember("d", options.D0), Remember("d_max", options.D0), Remember("d_numerator"), Remember("k"));
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var (rate, k) = (SharedRate(groups), done.Value + 1);
        var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
        var beta3 = options.Beta3 ?? Math.Sqrt(beta2);
        var correction = options.UseBiasCorrection ? Math.Sqrt(1 - Math.Pow(beta2, k)) / (1 - Math.Pow(beta1, k)) : 1;
        var length = d.Value * rate * correction;
        var coupled = options.Decouple ? 0 : options.WeightDecay;
        var share = d.Value / options.D0 * (options.SafeguardWarmup ? d.Value : length);

        var found = default(Sums);
        foreach (var group in groups.Where(group => group.Rate > 0))
        {
            var ranges = group.Runs.Select(run => run.Range);
            if (options.SliceP == 1 && mean is not null)
                found += Run(new Look(d.Value, beta1, beta2, beta3, coupled, share), [mean, square, walked, origin], ranges);
            else
            {
                found += Walk(group, beta3, coupled, share);
                if (mean is not null) Run(new Moments(d.Value, beta1, beta2, coupled), [mean, square], ranges);
                else Run(new Square(d.Value, beta2, coupled), [square], ranges);
            }
        }
        if (found.Second == 0) return;         // no gradient at all, or a rate of 0 everywhere: nothing happens, and no step is counted
        numerator.Value = numerator.Value * beta3 + d.Value / options.D0 * length * found.First;

        if (rate > 0)
        {
            var hat = options.DCoef * numerator.Value / found.Second;
            if (d.Value == options.D0) d.Value = Math.Max(d.Value, hat);
            largest.Value = Math.Max(largest.Value, hat);
            d.Value = options.GrowthRate is { } growth ? Math.Min(largest.Value, d.Value * growth) : largest.Value;
        }
        var decay = options.Decouple ? options.WeightDecay * length : 0;
        foreach (var group in groups)
        {
            var ranges = group.Runs.Select(run => run.Range);
            if (mean is not null) Run(new Move(length, decay, d.Value * options.Eps), [mean, square], ranges);
            else Run(new MoveByGradient(length * d.Value, decay, d.Value * options.Eps, coupled), [square], ranges);
        }
        done.Value = k;
    }

    // The sums over every n-th element.
    private Sums Walk(GroupStep group, double beta3, double coupled, double share)
    {
        var sums = default(Sums);
        foreach (var run in group.Runs)
        {
            using var scope = NewDisposeScope();
            var (start, last) = (slices[run.Tensors[0]], run.Tensors[^1]);
            var length = slices[last] + (last.Length + options.SliceP - 1) / options.SliceP - start;
            var (p, g) = options.SliceP == 1 ? (Values.narrow(0, run.Start, run.Length), Gradients.narrow(0, run.Start, run.Length))
                : (cat([.. run.Tensors.Select(tensor => Every(tensor, Values))]), cat([.. run.Tensors.Select(tensor => Every(tensor, Gradients))]));
            sums += ElementLoop.Run(new Measure(beta3, coupled, share), p, g, [walked.narrow(0, start, length), origin.narrow(0, start, length)], [(0, length)], Parameters.Fused);
        }
        return sums;
    }

    private Tensor Every(TrainedTensor tensor, Tensor flat) => flat.narrow(0, tensor.Start, tensor.Length).slice(0, 0, tensor.Length, options.SliceP);

    private readonly struct Look(double d, double beta1, double beta2, double beta3, double coupled, double share) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C | Streams.D;
        public static Streams Writes => Streams.A | Streams.B | Streams.C | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.Sum1 = g * (x.D - x.P);
            x.A = x.A * beta1 + g * (d * (1 - beta1));
            x.B = x.B * beta2 + g * g * (d * d * (1 - beta2));
            x.C = x.C * beta3 + g * share;
            x.Sum2 = L.Size(x.C);
        }
    }

    private readonly struct Measure(double beta3, double coupled, double share) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.A | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.Sum1 = g * (x.B - x.P);
            x.A = x.A * beta3 + g * share;
            x.Sum2 = L.Size(x.A);
        }
    }

    private readonly struct Moments(double d, double beta1, double beta2, double coupled) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A = x.A * beta1 + g * (d * (1 - beta1));
            x.B = x.B * beta2 + g * g * (d * d * (1 - beta2));
        }
    }

    private readonly struct Square(double d, double beta2, double coupled) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A = x.A * beta2 + g * g * (d * d * (1 - beta2));
        }
    }

    private readonly struct Move(double length, double decay, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * (1 - decay) - x.A * length / (L.Root(x.B) + eps);
    }

    private readonly struct MoveByGradient(double length, double decay, double eps, double coupled) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * (1 - decay) - (x.G + x.P * coupled) * length / (L.Root(x.A) + eps);
    }
}
