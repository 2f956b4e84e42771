using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent with Nesterov's momentum.</summary>
    public static Optimizer SgdNesterov { get; } = new(
        "SGDNesterov", "Gradient descent with momentum that looks ahead", new("https://proceedings.mlr.press/v28/sutskever13.html"),
        new SgdOptions { Momentum = 0.9, Nesterov = true })
    {
        Class = "torch.optim.sgd.SGD",
        GivenByKohya = ["nesterov"],
        KohyaArguments = MomentumNamed,
        Advice = "Far too slow for networks: thousands of steps at a high rate.",
    };

    /// <summary>Gradient descent, plain unless options say otherwise.</summary>
    public static Optimizer Sgd { get; } = new("SGD", "Gradient descent", new("https://pytorch.org/docs/stable/generated/torch.optim.SGD.html"), new SgdOptions())
    {
        Class = "torch.optim.sgd.SGD",
        Aliases = ["torch.optim.SGD"],
        CaseMatters = true,
        Advice = "Far too slow for networks: thousands of steps at a high rate.",
    };

    // kohya names the momentum where the user does not.
    private static IReadOnlyList<KeyValuePair<string, object?>> MomentumNamed(IReadOnlyList<KeyValuePair<string, object?>> given) =>
        given.Any(pair => pair.Key == "momentum") ? given : [.. given, new("momentum", 0.9)];
}

/// <summary>Options of <see cref="Optimizers.SgdNesterov"/> and <see cref="Optimizers.Sgd"/>.</summary>
public sealed record SgdOptions : OptimizerOptions
{
    /// <summary>Share of the old momentum that a step keeps, 0 or more. Default 0.9 for SGDNesterov, else 0.</summary>
    public double Momentum { get; init; }

    /// <summary>Share of the new gradient that does not enter the momentum. Default 0.</summary>
    public double Dampening { get; init; }

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Steps along gradient and momentum as they will be, not as they were. Always on in SGDNesterov; default off.</summary>
    public bool Nesterov { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map, fused: true, capturable: false);
        return this with
        {
            Momentum = map.Number("momentum", Momentum),
            Dampening = map.Number("dampening", Dampening),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Nesterov = map.Flag("nesterov", Nesterov),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Momentum >= 0, "momentum", $"is {Momentum}.", "Use 0 or more; 0.9 is usual.");
        problems.Require(!Nesterov || Momentum > 0, "momentum", $"is {Momentum}, and Nesterov's rule needs one.", "Use 0.9.");
        problems.Require(!Nesterov || Dampening == 0, "dampening", $"is {Dampening}, and Nesterov's rule has none.", "Leave it out.");
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new SgdRule(this, parameters);
}

// torch.optim.SGD: the momentum begins with the first gradient, undampened.
internal sealed class SgdRule : UpdateRule
{
    private readonly SgdOptions options;
    private readonly Tensor? momentum;

    public SgdRule(SgdOptions options, TrainedParameters parameters) : base(parameters) => (this.options, momentum) = (options, options.Momentum == 0 && !parameters.MovesMomentum ? null : Slot("momentum_buffer"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var now = new Numbers(group.Rate, options.WeightDecay, Momentum ?? options.Momentum, run.Update == 1 ? 1 : 1 - options.Dampening);
                if (momentum is null || now.Momentum == 0) Run(new Plain(now), [], [run.Range]);
                else if (options.Nesterov) Run(new Nesterov(now), [momentum], [run.Range]);
                else Run(new Heavy(now), [momentum], [run.Range]);
            }
    }

    internal readonly record struct Numbers(double Rate, double Decay, double Momentum, double Share);

    private readonly struct Plain(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P -= (x.G + x.P * now.Decay) * now.Rate;
    }

    internal readonly struct Heavy(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.A = x.A * now.Momentum + (x.G + x.P * now.Decay) * now.Share;
            x.P -= x.A * now.Rate;
        }
    }

    private readonly struct Nesterov(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * now.Decay;
            x.A = x.A * now.Momentum + g * now.Share;
            x.P -= (g + x.A * now.Momentum) * now.Rate;
        }
    }
}
