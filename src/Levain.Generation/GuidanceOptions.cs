using Levain.Core;

namespace Levain.Generation;

/// <summary>What becomes of a prompt and a negative prompt of different lengths.</summary>
public enum ConditioningPadding
{
    /// <summary>They go through the model apart: the webui's default.</summary>
    None,

    /// <summary>The shorter one is filled up with states of the empty prompt ("Pad conds").</summary>
    Empty,

    /// <summary>The negative prompt's last state is repeated, or it is cut: what DDIM did before version 1.6 ("Pad conds v0").</summary>
    RepeatLast,
}

/// <summary>How the prompt guides the picture beside the CFG scale; defaults are the webui's.</summary>
public sealed record GuidanceOptions
{
    /// <summary>Share φ of the deviation that is taken back from guidance, 0 to 1; 0.7 suits models with zero terminal SNR. Default 0.</summary>
    public double Rescale { get; init; }

    /// <summary>Below this level every second call leaves the negative prompt out (NGMS); 0 never. Samplers that walk timesteps compare the timestep, as in the webui.</summary>
    public double NegativeMinSigma { get; init; }

    /// <summary>Leaves the negative prompt out at every call below <see cref="NegativeMinSigma"/>.</summary>
    public bool NegativeMinSigmaAlways { get; init; }

    /// <summary>Leaves the negative prompt out during this share of the first calls, 0 to 1.</summary>
    public double SkipEarly { get; init; }

    /// <summary>What becomes of prompts of different lengths.</summary>
    public ConditioningPadding Padding { get; init; }

    /// <summary>Asks the model at whole timesteps only.</summary>
    public bool WholeTimesteps { get; init; }

    /// <summary>Sends prompt and negative prompt through the model one after the other: slower, less memory.</summary>
    public bool Apart { get; init; }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Rescale is >= 0 and <= 1, "cfg_rescale", $"is {Rescale}.", "Use 0 to 1; 0.7 is usual for models with zero terminal SNR.");
        problems.Require(NegativeMinSigma >= 0, "ngms", $"is {NegativeMinSigma}.", "Use 0 or more; 0 always computes the negative prompt.");
        problems.Require(SkipEarly is >= 0 and <= 1, "skip_early_cfg", $"is {SkipEarly}.", "Use 0 to 1, a share of the steps.");
    }
}
