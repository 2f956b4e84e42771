using Levain.Core;

namespace Levain.Training;

/// <summary>What all D-Adaptation optimizers share (Defazio and Mishchenko 2023, https://arxiv.org/abs/2301.07733).</summary>
public abstract record DAdaptOptions : OptimizerOptions
{
    /// <summary>Step length to begin with, above 0. Default 1e-6; 1e-5 or 1e-4 where it does not grow.</summary>
    public double D0 { get; init; } = 1e-6;

    /// <summary>Most that the step length may grow in a step, as a factor; null: no limit. 1.02 is careful.</summary>
    public double? GrowthRate { get; init; }

    /// <summary>The step length after a step: it never falls, and grows no faster than allowed.</summary>
    internal double Grown(double d, double hat) => Math.Max(d, GrowthRate is { } growth ? Math.Min(hat, d * growth) : hat);

    /// <summary>Checks what they share.</summary>
    protected void CheckDistance(Problems problems)
    {
        problems.Require(D0 > 0, "d0", $"is {D0}.", "Use a small number above 0; 1e-6 is usual.");
        problems.Require(GrowthRate is null or >= 1, "growth_rate", $"is {GrowthRate}.", "Use a factor above 1, such as 1.02, or leave it out.");
    }
}

/// <summary>Options of <see cref="Optimizers.DAdaptAdam"/> and <see cref="Optimizers.DAdaptAdamPreprint"/>.</summary>
public sealed record DAdaptAdamOptions : DAdaptOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999]; the guide: [0.9, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment; above 0. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights. Default 0; the guide: 0.01.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether weights decay apart from the gradient, as in AdamW. Default off; the guide: on.</summary>
    public bool Decouple { get; init; }

    /// <summary>Corrects the moments of the first steps, as Adam does. Not in the preprint's rule. Default off.</summary>
    public bool UseBiasCorrection { get; init; }

    /// <summary>Whether the rule is the preprint's (kohya's <c>DAdaptation</c>).</summary>
    public bool Preprint { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "log_every", "fsdp_in_use");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Decouple = map.Flag("decouple", Decouple),
            UseBiasCorrection = !Preprint && map.Flag("use_bias_correction", UseBiasCorrection),
            D0 = map.Number("d0", D0),
            GrowthRate = map.OptionalNumber("growth_rate", GrowthRate),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps, aboveZero: true);
        CheckDecay(problems, WeightDecay);
        CheckDistance(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => Preprint ? new DAdaptAdamPreprintRule(this, parameters) : new DAdaptAdamRule(this, parameters);
}
