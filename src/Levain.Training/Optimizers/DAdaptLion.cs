using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Lion that finds its step length.</summary>
    public static Optimizer DAdaptLion { get; } = new(
        "DAdaptLion", "Lion that finds its step length itself", new("https://arxiv.org/abs/2301.07733"), new DAdaptLionOptions())
    {
        Class = "dadaptation.dadapt_lion.DAdaptLion",
        Aliases = ["dadaptation.DAdaptLion"],
        Rates = RateUse.Multiplier,
        Advice = "As DAdaptAdam: learning rate 1 for all parts and a constant schedule.",
    };
}

/// <summary>Options of <see cref="Optimizers.DAdaptLion"/>.</summary>
public sealed record DAdaptLionOptions : OptimizerOptions
{
    /// <summary>Shares of the old momentum: in the sign, and in what is kept; each 0 to below 1. Default [0.9, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.99];

    /// <summary>Decay of the weights, apart from the gradient. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Step length to begin with, above 0. Default 1e-6.</summary>
    public double D0 { get; init; } = 1e-6;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "log_every", "fsdp_in_use");
        return this with { Betas = map.Numbers("betas", Betas)!, WeightDecay = map.Number("weight_decay", WeightDecay), D0 = map.Number("d0", D0) };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckDecay(problems, WeightDecay);
        problems.Require(D0 > 0, "d0", $"is {D0}.", "Use a small number above 0; 1e-6 is usual.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new DAdaptLionRule(this, parameters);
}

// The kept momentum holds the step length, and the gradient beside it in the sign does not: upstream's way.
internal sealed class DAdaptLionRule : UpdateRule
{
    private readonly DAdaptLionOptions options;
    private readonly Tensor mean, walked;
    private readonly Number d, numerator, done;

    public DAdaptLionRule(DAdaptLionOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        (mean, walked) = (Slot("exp_avg"), Slot("s"));
        (d, numerator, done) = (Remember("d", options.D0), Remember("numerator_weighted"), Remember("k"));
    }

    public override double? Distance => d.Value;

    // Groups of rate 0 move as all others do; dadaptation gates nothing here.
    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var rate = SharedRate(groups);
        var length = d.Value * rate;
        var keep = Math.Sqrt(options.Betas[1]);
        var found = Run(new Signs(length, options.WeightDecay * length, Momentum ?? options.Betas[0], options.Betas[1], keep), [mean, walked],
            groups.SelectMany(group => group.Runs.Select(run => run.Range)));
        if (found.Second == 0) return;
        numerator.Value = keep * numerator.Value + (1 - keep) * length * found.First;
        if (rate > 0) d.Value = Math.Max(d.Value, numerator.Value / ((1 - keep) * found.Second));
        done.Value++;
    }

    private readonly struct Signs(double length, double decay, double beta1, double beta2, double keep) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var u = L.Sign(x.A * beta1 + x.G * (1 - beta1));
            x.P = x.P * (1 - decay) - u * length;
            x.A = x.A * beta2 + x.G * (length * (1 - beta2));
            x.Sum1 = u * x.B;
            x.B = x.B * keep + u * (length * (1 - keep));
            x.Sum2 = L.Size(x.B);
        }
    }
}
