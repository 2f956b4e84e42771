using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>A step size for each element that grows while its gradient keeps its sign.</summary>
    public static Optimizer Rprop { get; } = new("Rprop", "A step size for each element, growing while its gradient keeps its sign", new("https://doi.org/10.1109/ICNN.1993.298623"), new RpropOptions())
    {
        Class = "torch.optim.rprop.Rprop",
        Aliases = ["torch.optim.Rprop"],
        CaseMatters = true,
        Advice = "Made for gradients of the whole dataset at once; not for batches.",
    };
}

/// <summary>Options of <see cref="Optimizers.Rprop"/>.</summary>
public sealed record RpropOptions : OptimizerOptions
{
    /// <summary>Factors on the step size where the sign changes and where it stays. Default [0.5, 1.2].</summary>
    public IReadOnlyList<double> Etas { get; init; } = [0.5, 1.2];

    /// <summary>Smallest and largest step size. Default [1e-6, 50].</summary>
    public IReadOnlyList<double> StepSizes { get; init; } = [1e-6, 50];

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        return this with { Etas = map.Numbers("etas", Etas)!, StepSizes = map.Numbers("step_sizes", StepSizes)!, Maximize = map.Flag("maximize", Maximize) };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Etas is [> 0 and < 1, > 1], "etas", $"is [{string.Join(", ", Etas)}].", "Give a factor below 1 and one above: [0.5, 1.2].");
        problems.Require(StepSizes is [var least, var most] && least >= 0 && least <= most, "step_sizes", $"is [{string.Join(", ", StepSizes)}].", "Give the smallest and the largest: [1e-6, 50].");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new RpropRule(this, parameters);
}

// Riedmiller and Braun 1993, as torch.optim.Rprop computes it.
internal sealed class RpropRule : UpdateRule
{
    private readonly RpropOptions options;
    private readonly Tensor before, sizes;

    public RpropRule(RpropOptions options, TrainedParameters parameters) : base(parameters)
    {
        (this.options, before, sizes) = (options, Slot("prev"), Slot("step_size"));
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                // Sizes begin with the rate of the first step.
                if (run.Update == 1) sizes.narrow(0, run.Start, run.Length).fill_(group.Rate);
                Run(new Signs(options.Etas[0], options.Etas[1], options.StepSizes[0], options.StepSizes[1]), [before, sizes], [run.Range]);
            }
    }

    private readonly struct Signs(double less, double more, double least, double most) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var (none, agrees) = (x.G * 0, x.G * x.A);
            var factor = L.Where(agrees, none + more, L.Where(agrees * -1, none + less, none + 1));
            x.B = L.Min(L.Max(x.B * factor, none + least), none + most);
            x.A = L.Where(agrees * -1, none, x.G);          // where the sign has changed, it is as if there were no gradient
            x.P -= L.Sign(x.A) * x.B;
        }
    }
}
