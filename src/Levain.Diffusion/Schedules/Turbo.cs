namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    /// <summary>Every (1000 ÷ n)-th timestep counted from the loudest: what SD Turbo was distilled at. Forge has it.</summary>
    public static SigmaSchedule Turbo { get; } = new("Turbo", "The levels SD Turbo was distilled at", 0,
        want => ToZero(Enumerable.Range(0, want.Steps).Select(i =>
        {
            // fp32 and half to even, as the reference rounds
            var t = MathF.Round((want.Steps - i) * (float)((double)want.Model.Count / want.Steps) - 1);
            return (double)want.Model.Levels[Math.Clamp((int)t, 0, want.Model.Count - 1)];
        })));
}
