using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adan that finds its step length.</summary>
    public static Optimizer DAdaptAdan { get; } = new(
        "DAdaptAdan", "Adan that finds its step length itself", new("https://arxiv.org/abs/2301.07733"), new DAdaptAdanOptions())
    {
        Class = "dadaptation.dadapt_adan.DAdaptAdan",
        Aliases = ["dadaptation.DAdaptAdan"],
        Rates = RateUse.FirstGroup,
        NeedsRate = true,
    };

    /// <summary>Adan that finds its step length by inner products, as DAdaptAdam does.</summary>
    public static Optimizer DAdaptAdanIp { get; } = new(
        "DAdaptAdanIP", "Adan that finds its step length itself, by inner products", new("https://github.com/facebookresearch/dadaptation"), new DAdaptAdanOptions { InnerProduct = true })
    {
        Class = "dadaptation.experimental.dadapt_adan_ip.DAdaptAdanIP",
        Aliases = ["dadaptation.experimental.DAdaptAdanIP"],
        Rates = RateUse.FirstGroup,
        NeedsRate = true,
    };
}

/// <summary>Options of <see cref="Optimizers.DAdaptAdan"/> and <see cref="Optimizers.DAdaptAdanIp"/>.</summary>
public sealed record DAdaptAdanOptions : DAdaptOptions
{
    /// <summary>Shares that a step keeps of the old gradient mean, mean of differences and second moment, each 0 to below 1. Default [0.98, 0.92, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.98, 0.92, 0.99];

    /// <summary>Added to the root of the second moment; above 0. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more. Default 0.02.</summary>
    public double WeightDecay { get; init; } = 0.02;

    /// <summary>Decays before the step, as AdamW, rather than after it. Default off.</summary>
    public bool NoProx { get; init; }

    /// <summary>Whether the step length comes from inner products.</summary>
    public bool InnerProduct { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "log_every");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            NoProx = map.Flag("no_prox", NoProx),
            D0 = map.Number("d0", D0),
            GrowthRate = map.OptionalNumber("growth_rate", GrowthRate),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas, count: 3);
        CheckEpsilon(problems, Eps, aboveZero: true);
        CheckDecay(problems, WeightDecay);
        CheckDistance(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new DAdaptAdanRule(this, parameters);
}

internal sealed class DAdaptAdanRule : UpdateRule
{
    private readonly DAdaptAdanOptions options;
    private readonly Tensor mean, difference, square, walked, before, made;
    private readonly Number d, weighted, done;
    private readonly Dictionary<TrainedTensor, int> places = [];

    public DAdaptAdanRule(DAdaptAdanOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        (mean, difference, square, walked, before) = (Slot("exp_avg"), Slot("exp_avg_diff"), Slot("exp_avg_sq"), Slot("s"), Slot("pre_grad"));
        (d, weighted, done) = (Remember("d", options.D0), Remember(options.InnerProduct ? "numerator_weighted" : "gsq_weighted"), Remember("k"));
        foreach (var tensor in parameters.Groups.SelectMany(group => group.Tensors)) places.Add(tensor, places.Count);
        made = Slot("step", places.Count, ScalarType.Int64);
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var rate = groups[0].Rate;
        var length = d.Value * rate;
        var beta3 = options.Betas[2];
        var found = default(Sums);
        var counts = Counts();
        foreach (var run in groups.SelectMany(group => group.Runs))
        {
            // A step at rate 0 that comes first is none: the next one still has no earlier gradient.
            var numbers = new Numbers(length, Momentum ?? options.Betas[0], options.Betas[1], beta3, options.Eps, counts[places[run.Tensors[0]]] == 0 ? 0 : 1);
            found += options.InnerProduct
                ? Run(new LookByProduct(numbers), [mean, difference, square, walked, before], [run.Range])
                : Run(new Look(numbers), [mean, difference, square, walked, before], [run.Range]);
        }
        if (found.Second == 0) return;
        double hat;
        if (options.InnerProduct)
        {
            weighted.Value = beta3 * weighted.Value + (1 - beta3) * length * found.First;
            hat = 2 * (beta3 / (1 - beta3)) * weighted.Value / found.Second;
        }
        else
        {
            weighted.Value = beta3 * weighted.Value + (1 - beta3) * length * length * found.First;
            hat = (found.Third / (1 - beta3) - weighted.Value) / found.Second;
        }
        if (rate > 0) d.Value = options.Grown(d.Value, hat);
        var decay = options.WeightDecay * length;
        var (first, after) = options.NoProx ? (1 - decay, 1.0) : (1.0, 1 + decay);
        Run(new Move(options.Betas[1], options.Eps, first, after), [mean, difference, square], groups.SelectMany(group => group.Runs.Select(run => run.Range)));
        done.Value++;
        foreach (var reached in groups.SelectMany(group => group.Runs).SelectMany(run => run.Tensors)) counts[places[reached]]++;
        using var written = tensor(counts);
        made.copy_(written);
    }

    // Steps of each tensor that moved it.
    private long[] Counts()
    {
        using var copy = made.cpu();
        return copy.data<long>().ToArray();
    }

    // Earlier is 0 where there is no earlier gradient to compare with.
    private readonly record struct Numbers(double Length, double Beta1, double Beta2, double Beta3, double Eps, double Earlier)
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public L Moments<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var change = (x.G - x.E) * Earlier;
            var ahead = x.G + change * Beta2;
            x.A = x.A * Beta1 + x.G * (Length * (1 - Beta1));
            x.B = x.B * Beta2 + change * (Length * (1 - Beta2));
            x.C = x.C * Beta3 + ahead * ahead * (1 - Beta3);
            x.E = x.G;
            return L.Root(x.C) + Eps;
        }
    }

    private readonly struct Look(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A | Streams.B | Streams.C | Streams.D | Streams.E;
        public static Streams Writes => Streams.A | Streams.B | Streams.C | Streams.D | Streams.E | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var scale = now.Moments(ref x);
            x.D = x.D * now.Beta3 + x.G * (now.Length * (1 - now.Beta3));
            x.Sum1 = x.G * x.G / scale;
            x.Sum2 = L.Size(x.D);
            x.Sum3 = x.D * x.D / scale;
        }
    }

    private readonly struct LookByProduct(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A | Streams.B | Streams.C | Streams.D | Streams.E;
        public static Streams Writes => Streams.A | Streams.B | Streams.C | Streams.D | Streams.E | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.Sum1 = x.G * x.D / (L.Root(x.C) + now.Eps);
            now.Moments(ref x);
            x.D = x.D * now.Beta3 + x.G * (now.Length * (1 - now.Beta3));
            x.Sum2 = L.Size(x.D);
        }
    }

    private readonly struct Move(double beta2, double eps, double first, double after) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = (x.P * first - (x.A + x.B * beta2) / (L.Root(x.C) + eps)) * (1 / after);
    }
}
