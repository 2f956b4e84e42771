using Levain.Core;

namespace Levain.Generation;

/// <summary>Another checkpoint that finishes pictures (the webui's refiner); with a second pass it finishes that one.</summary>
/// <param name="Checkpoint">The file or diffusers folder.</param>
public sealed record RefinerOptions(string Checkpoint)
{
    /// <summary>The share of the model's 1000 timesteps after which it takes over, 0 to 1. Default 0.8.</summary>
    public double SwitchAt { get; init; } = 0.8;

    /// <summary>Its name in infotexts.</summary>
    public string Name => Path.GetFileNameWithoutExtension(Checkpoint);

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    internal void Check(Problems problems)
    {
        problems.Require(Path.Exists(Checkpoint), "refiner", $"is {Checkpoint}, which is not there.", "Check the path.");
        problems.Require(SwitchAt is >= 0 and <= 1, "refiner_switch", $"is {SwitchAt}.", "Use 0 to 1; 0.8 is usual.");
    }
}
