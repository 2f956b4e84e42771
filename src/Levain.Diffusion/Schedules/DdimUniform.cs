namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>The levels DDIM uses: every ⌊1000 ÷ n⌋-th from timestep 1 on. There may be more of them than asked for.</summary>
    public static SigmaSchedule DdimUniform { get; } = new("DDIM", "The levels DDIM uses", 0, want =>
    {
        var stride = Math.Max(want.Model.Count / want.Steps, 1);
        var levels = new List<double>();
        for (var t = 1; t < want.Model.Count; t += stride) levels.Add(want.Model.Levels[t]);
        levels.Reverse();
        return ToZero(levels);
    });
}
