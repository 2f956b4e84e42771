using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[noise]</c> table: what is added to a latent, and at which timesteps.</summary>
public sealed record NoiseSettings
{
    /// <summary>Timesteps of the training schedule.</summary>
    public const int Timesteps = 1000;

    /// <summary>Strength of a constant added to each channel's noise, so that very dark and bright pictures can be learnt; null or 0: none.</summary>
    public double? Offset { get; init; }

    /// <summary>The offset's strength is drawn from 0 to <see cref="Offset"/> in each step. Default false.</summary>
    public bool OffsetRandomStrength { get; init; }

    /// <summary>Adds this times the latent's mean to the offset; needs <see cref="Offset"/>. Null: none.</summary>
    public double? AdaptiveScale { get; init; }

    /// <summary>Rounds of pyramid noise; null or 0: none. 6 to 10 is usual.</summary>
    public int? MultiresIterations { get; init; }

    /// <summary>Weight of each further round of pyramid noise, 0..1. Default 0.3.</summary>
    public double MultiresDiscount { get; init; } = 0.3;

    /// <summary>Strength of noise added to the input but not to the target (Ning et al. 2023); null or 0: none.</summary>
    public double? InputPerturbation { get; init; }

    /// <summary>The perturbation's strength is drawn from 0 to <see cref="InputPerturbation"/> in each step. Default false.</summary>
    public bool InputPerturbationRandomStrength { get; init; }

    /// <summary>First timestep that is trained, 0..999; null: 0.</summary>
    public int? MinTimestep { get; init; }

    /// <summary>Timestep before which training ends, 1..1000; null: 1000.</summary>
    public int? MaxTimestep { get; init; }

    /// <summary>The schedule's last timestep holds no signal at all (Lin et al. 2023); for v-prediction bases. Default false.</summary>
    public bool ZeroTerminalSnr { get; init; }

    /// <summary>The table's keys.</summary>
    public static NoiseSettings Map(NoiseSettings noise, TomlMap map) => noise with
    {
        Offset = map.OptionalNumber("offset", noise.Offset),
        OffsetRandomStrength = map.Flag("offset_random_strength", noise.OffsetRandomStrength),
        AdaptiveScale = map.OptionalNumber("adaptive_scale", noise.AdaptiveScale),
        MultiresIterations = map.OptionalWhole("multires_iterations", noise.MultiresIterations),
        MultiresDiscount = map.Number("multires_discount", noise.MultiresDiscount),
        InputPerturbation = map.OptionalNumber("input_perturbation", noise.InputPerturbation),
        InputPerturbationRandomStrength = map.Flag("input_perturbation_random_strength", noise.InputPerturbationRandomStrength),
        MinTimestep = map.OptionalWhole("min_timestep", noise.MinTimestep),
        MaxTimestep = map.OptionalWhole("max_timestep", noise.MaxTimestep),
        ZeroTerminalSnr = map.Flag("zero_terminal_snr", noise.ZeroTerminalSnr),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether everything is taken that kohya can compute with (K-71).</param>
    public void Check(Problems problems, bool kohya)
    {
        problems.Require(AdaptiveScale is null || Offset is not null, "adaptive_scale", $"is {AdaptiveScale} without an offset to scale.", "Give offset too, 0.03 for example, or leave adaptive_scale out.");
        problems.Require(kohya || MultiresIterations is null or >= 0, "multires_iterations", $"is {MultiresIterations}.", "Use 0 or more; 6 to 10 is usual.");
        problems.Require(kohya || MultiresDiscount is > 0 and <= 1, "multires_discount", $"is {MultiresDiscount}.", "Use above 0 to 1; 0.3 is usual.");
        problems.Require(kohya || InputPerturbation is null or >= 0, "input_perturbation", $"is {InputPerturbation}.", "Use 0 or more; 0.1 is usual.");
        var (low, high) = (MinTimestep ?? 0, MaxTimestep ?? Timesteps);
        if (kohya && low >= high && high is >= 0 and < Timesteps) return;
        problems.Require(low is >= 0 and < Timesteps, "min_timestep", $"is {low}.", "Use 0 to 999.");
        problems.Require(high is > 0 and <= Timesteps, "max_timestep", $"is {high}.", "Use 1 to 1000.");
        problems.Require(low < high, "min_timestep", $"is {low}, not below max_timestep {high}.", "Leave at least one timestep between them.");
    }
}
