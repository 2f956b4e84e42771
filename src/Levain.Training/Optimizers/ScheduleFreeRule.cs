using System.Runtime.CompilerServices;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>What all schedule-free optimizers share: instead of a learning rate that falls, an average over the run (Defazio et al. 2024).</summary>
public abstract record ScheduleFreeOptions : OptimizerOptions
{
    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Power of the step number that later steps weigh more by in the average. Default 0.</summary>
    public double R { get; init; }

    /// <summary>Power of the learning rate that steps weigh by in the average. Default 2.</summary>
    public double WeightLrPower { get; init; } = 2;
}

/// <summary>
/// Three points: z steps along the gradient, x is the average of all z and is what is used and saved, and y between them is where gradients are taken:
/// the parameters themselves.
/// </summary>
/// <remarks>Defazio et al. 2024, https://arxiv.org/abs/2405.15682, algorithm 1, as schedulefree 1.4.1 computes it.</remarks>
internal abstract class ScheduleFreeRule : UpdateRule
{
    private readonly ScheduleFreeOptions options;
    private readonly double beta;
    private readonly Number done;
    private readonly (Number Sum, Number Largest)[] weights;

    /// <param name="beta">Share of x in y.</param>
    protected ScheduleFreeRule(ScheduleFreeOptions options, double beta, TrainedParameters parameters) : base(parameters)
    {
        (this.options, this.beta) = (options, beta);
        Z = Keep("z", Values.narrow(0, 0, parameters.Length).clone());
        done = Remember("k");
        weights = [.. parameters.Groups.Select((_, i) => (Remember($"weight_sum{i}"), Remember($"lr_max{i}", -1)))];
    }

    /// <summary>The point that steps.</summary>
    protected Tensor Z { get; }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var k = (long)done.Value + 1;
        foreach (var group in groups)
        {
            var (sum, largest) = weights[group.Group];
            var rate = RateAt(group.Rate, k);
            largest.Value = Math.Max(largest.Value, rate);
            var weight = Math.Pow(k, options.R) * Math.Pow(largest.Value, options.WeightLrPower);
            sum.Value += weight;
            var c = sum.Value == 0 ? 0 : weight / sum.Value;
            var move = new Move(c, rate * (beta * (1 - c) - 1), rate, options.WeightDecay);
            foreach (var run in group.Runs) Step(move, run, k);
        }
        done.Value = k;
    }

    public override Tensor Averaged()
    {
        using var scope = NewDisposeScope();
        var x = Values.clone();
        var trained = x.narrow(0, 0, Parameters.Length);
        trained.add_(Z - trained, 1 - 1 / beta);
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>The rate of step <paramref name="k"/>, from 1.</summary>
    protected abstract double RateAt(double rate, long k);

    /// <summary>Steps over a run.</summary>
    protected abstract void Step(Move move, TensorRun run, long k);

    /// <summary>Where a direction h takes y and z.</summary>
    protected readonly record struct Move(double Share, double Y, double Rate, double Decay)
    {
        /// <param name="y">The parameters.</param>
        /// <param name="z">The point that steps.</param>
        /// <param name="h">The direction, without decay.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Go<L>(ref L y, ref L z, L h) where L : struct, ILanes<L>
        {
            h += y * Decay;
            y = y + (z - y) * Share + h * Y;
            z -= h * Rate;
        }
    }

    /// <summary>Along the gradient as it is.</summary>
    protected readonly struct Plain(Move move) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => move.Go(ref x.P, ref x.A, x.G);
    }

    /// <summary>Along the gradient over the root of its second moment.</summary>
    protected readonly struct Adam(Move move, double beta2, double correction, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.B = x.B * beta2 + x.G * x.G * (1 - beta2);
            move.Go(ref x.P, ref x.A, x.G / (L.Root(x.B * (1 / correction)) + eps));
        }
    }

    /// <summary>Along the gradient as it is, while its second moment is gathered.</summary>
    protected readonly struct Gather(Move move, double beta2) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.B = x.B * beta2 + x.G * x.G * (1 - beta2);
            move.Go(ref x.P, ref x.A, x.G);
        }
    }
}
