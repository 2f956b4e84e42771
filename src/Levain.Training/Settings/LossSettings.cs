using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>How far a prediction is from its target.</summary>
public enum LossType
{
    /// <summary>Squared difference.</summary>
    L2,

    /// <summary>Absolute difference.</summary>
    L1,

    /// <summary>Pseudo-Huber: squared near 0, absolute far away, times 2c.</summary>
    Huber,

    /// <summary>Pseudo-Huber without c in front: times 2.</summary>
    SmoothL1,
}

/// <summary>How Huber's c depends on the timestep.</summary>
public enum HuberSchedule
{
    /// <summary>Follows the noise level.</summary>
    Snr,

    /// <summary>Falls exponentially with the timestep.</summary>
    Exponential,

    /// <summary>Stays.</summary>
    Constant,
}

/// <summary>The <c>[loss]</c> table: how a prediction is judged.</summary>
public sealed record LossSettings
{
    /// <summary>How far a prediction is from its target. Default l2.</summary>
    public LossType Type { get; init; } = LossType.L2;

    /// <summary>How Huber's c depends on the timestep. Default snr.</summary>
    public HuberSchedule HuberSchedule { get; init; } = HuberSchedule.Snr;

    /// <summary>Huber's c: where squared becomes absolute. Default 0.1.</summary>
    public double HuberC { get; init; } = 0.1;

    /// <summary>Factor of the Huber losses. Default 1.</summary>
    public double HuberScale { get; init; } = 1;

    /// <summary>Gives timesteps with little noise no more weight than γ/snr (Hang et al. 2023); null or 0: off. 5 is usual.</summary>
    public double? MinSnrGamma { get; init; }

    /// <summary>Divides the loss by the root of the snr. Default false.</summary>
    public bool DebiasedEstimation { get; init; }

    /// <summary>Weighs the v-prediction loss as a noise prediction's; needs <c>model.v_parameterization</c>. Default false.</summary>
    public bool ScaleVLikeNoise { get; init; }

    /// <summary>Adds a v-like weight of this strength to a noise prediction's loss; null or 0: off.</summary>
    public double? VPredLike { get; init; }

    /// <summary>Weight of regularization pictures, 0 or more. Default 1.</summary>
    public double PriorWeight { get; init; } = 1;

    /// <summary>Keeps the base's idea of this prompt, a class such as <c>cat</c>, without pictures of it: its own predictions, made once before training, are a second target of every step. A step then costs about twice as much. Null: not.</summary>
    public string? KeepPrompt { get; init; }

    /// <summary>Weight of that second target. Default 1.</summary>
    public double KeepWeight { get; init; } = 1;

    /// <summary>How many of the base's predictions are made and gone through in turn. Default 64.</summary>
    public int KeepSamples { get; init; } = 64;

    /// <summary>The table's keys.</summary>
    public static LossSettings Map(LossSettings loss, TomlMap map) => loss with
    {
        Type = map.Choice("type", loss.Type),
        HuberSchedule = map.Choice("huber_schedule", loss.HuberSchedule),
        HuberC = map.Number("huber_c", loss.HuberC),
        HuberScale = map.Number("huber_scale", loss.HuberScale),
        MinSnrGamma = map.OptionalNumber("min_snr_gamma", loss.MinSnrGamma),
        DebiasedEstimation = map.Flag("debiased_estimation", loss.DebiasedEstimation),
        ScaleVLikeNoise = map.Flag("scale_v_like_noise", loss.ScaleVLikeNoise),
        VPredLike = map.OptionalNumber("v_pred_like", loss.VPredLike),
        PriorWeight = map.Number("prior_weight", loss.PriorWeight),
        KeepPrompt = map.OptionalText("keep_prompt", loss.KeepPrompt),
        KeepWeight = map.Number("keep_weight", loss.KeepWeight),
        KeepSamples = map.Whole("keep_samples", loss.KeepSamples),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="velocity">Whether the base predicts velocity.</param>
    /// <param name="kohya">Whether everything is taken that kohya can compute with (K-71).</param>
    public void Check(Problems problems, bool velocity, bool kohya)
    {
        problems.Require(HuberC > 0, "huber_c", $"is {HuberC}.", "Use a positive number; 0.1 is usual.");
        problems.Require(HuberScale > 0, "huber_scale", $"is {HuberScale}.", "Use a positive number; 1 is usual.");
        problems.Require(kohya || MinSnrGamma is null or >= 0, "min_snr_gamma", $"is {MinSnrGamma}.", "Use a positive number; 5 is usual.");
        problems.Require(!ScaleVLikeNoise || velocity, "scale_v_like_noise", "is true, but the base predicts noise.", "Set model.v_parameterization = true for a v-prediction base, or leave it out.");
        problems.Require(VPredLike is null or 0 || !velocity, "v_pred_like", $"is {VPredLike}, but the base predicts velocity already.", "Leave v_pred_like out.");
        problems.Require(KeepWeight > 0, "keep_weight", $"is {KeepWeight}.", "Use a positive number; 1 weighs what is kept like what is learnt.");
        problems.Require(KeepSamples is >= 1 and <= 4096, "keep_samples", $"is {KeepSamples}.", "Use 1 to 4096; 64 is usual.");
        problems.Require(PriorWeight >= 0, "prior_weight", $"is {PriorWeight}.", "Use 0 or more; 1 weighs regularization pictures like the others.");
    }
}
