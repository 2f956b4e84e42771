using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent with steps that shorten by themselves.</summary>
    public static Optimizer Asgd { get; } = new("ASGD", "Gradient descent with steps that shorten by themselves; the average it is named for is not used", new("https://doi.org/10.1137/0330046"), new AsgdOptions())
    {
        Class = "torch.optim.asgd.ASGD",
        Aliases = ["torch.optim.ASGD"],
        CaseMatters = true,
        Advice = "Far too slow for networks: thousands of steps at a high rate.",
    };
}

/// <summary>Options of <see cref="Optimizers.Asgd"/>.</summary>
public sealed record AsgdOptions : OptimizerOptions
{
    /// <summary>Decay of the weights by the step's length, and how fast steps shorten. Default 1e-4.</summary>
    public double Lambd { get; init; } = 1e-4;

    /// <summary>Power by which steps shorten. Default 0.75.</summary>
    public double Alpha { get; init; } = 0.75;

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        Idle(map, "t0");
        return this with
        {
            Lambd = map.Number("lambd", Lambd),
            Alpha = map.Number("alpha", Alpha),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Lambd >= 0, "lambd", $"is {Lambd}.", "Use 0 or more; 1e-4 is usual.");
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AsgdRule(this, parameters);
}

// Polyak and Juditsky 1992, as torch.optim.ASGD steps. The average begins after t0 steps, and nobody asks for it: it is not kept.
internal sealed class AsgdRule : UpdateRule
{
    private readonly AsgdOptions options;
    private readonly Tensor lengths;
    private readonly Dictionary<TrainedTensor, int> places = [];

    public AsgdRule(AsgdOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        foreach (var tensor in parameters.Groups.SelectMany(group => group.Tensors)) places.Add(tensor, places.Count);
        lengths = Slot("eta", places.Count, ScalarType.Float32);
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        using var scope = NewDisposeScope();
        var next = lengths.cpu().data<float>().ToArray();
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                // A step's length is made at the end of the one before, with the rate of that time; torch keeps it in fp32.
                var now = run.Tensors.ToLookup(tensor => run.Update == 1 ? (float)group.Rate : next[places[tensor]]);
                foreach (var alike in now)
                    Run(new Move(alike.Key, options.Lambd, options.WeightDecay), [], alike.Select(tensor => (tensor.Start, tensor.Length)));
                foreach (var tensor in run.Tensors) next[places[tensor]] = (float)(group.Rate / Math.Pow(1 + options.Lambd * group.Rate * run.Update, options.Alpha));
            }
        lengths.copy_(tensor(next));
    }

    private readonly struct Move(double length, double lambd, double decay) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * (1 - lambd * length) - (x.G + x.P * decay) * length;
    }
}
