namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Every (1000 ÷ n)-th of the model's levels, from the loudest.</summary>
    public static SigmaSchedule Simple { get; } = new("Simple", "Every n-th level of the model", 0,
        want => ToZero(Enumerable.Range(0, want.Steps).Select(i => (double)want.Model.Levels[want.Model.Count - 1 - i * want.Model.Count / want.Steps])));
}
