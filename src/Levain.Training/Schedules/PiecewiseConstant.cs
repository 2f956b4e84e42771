namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>Factors written out step by step.</summary>
    public static RateSchedule PiecewiseConstant { get; } = new("piecewise_constant", "Steps written out",
        new("https://github.com/huggingface/diffusers/blob/v0.32.1/src/diffusers/optimization.py"),
        static (step, options) =>
        {
            foreach (var (factor, until) in options.Pieces)
                if (step < until) return factor;
            return options.LastPiece;
        })
    {
        WarmsUp = false,
        Check = static (options, problems) => problems.Require(options.Pieces.Count > 0, "step_rules",
            "is not given with piecewise_constant.", "Write factor:step pairs and a last factor: step_rules = \"1:100,0.3:200,0.1\"."),
    };
}
