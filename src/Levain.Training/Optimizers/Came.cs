using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>AdaFactor with a first moment, held back where updates and moment disagree.</summary>
    public static Optimizer Came { get; } = new(
        "CAME", "A first moment and second moments in rows and columns; cautious where updates waver", new("https://arxiv.org/abs/2307.02047"), new CameOptions())
    {
        Class = "pytorch_optimizer.optimizer.came.CAME",
        Aliases = ["pytorch_optimizer.CAME"],
        ByPathInKohya = true,
        Advice = "About a fifth of AdamW's learning rate; its first steps are long.",
    };
}

/// <summary>Options of <see cref="Optimizers.Came"/>.</summary>
public sealed record CameOptions : OptimizerOptions
{
    /// <summary>Shares that a step keeps of the old first moment, second moment and moment of residues, each 0 to below 1. Default [0.9, 0.999, 0.9999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999, 0.9999];

    /// <summary>Added to squared gradients. Default 1e-30.</summary>
    public double Eps1 { get; init; } = 1e-30;

    /// <summary>Added to squared residues. Default 1e-16.</summary>
    public double Eps2 { get; init; } = 1e-16;

    /// <summary>Longest update, as a root mean square. Default 1.</summary>
    public double ClipThreshold { get; init; } = 1;

    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether weights decay apart from the gradient, as in AdamW; off, they do not decay at all, as in pytorch-optimizer. Default on.</summary>
    public bool WeightDecouple { get; init; } = true;

    /// <summary>Decays by <see cref="WeightDecay"/> itself, whatever the learning rate. Default off.</summary>
    public bool FixedDecay { get; init; }

    /// <summary>Divides by the largest second moment so far, element by element, as pytorch-optimizer has it. Default off.</summary>
    public bool AmsBound { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        map.TakeOthers();
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps1 = map.Number("eps1", Eps1),
            Eps2 = map.Number("eps2", Eps2),
            ClipThreshold = map.Number("clip_threshold", ClipThreshold),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            WeightDecouple = map.Flag("weight_decouple", WeightDecouple),
            FixedDecay = map.Flag("fixed_decay", FixedDecay),
            AmsBound = map.Flag("ams_bound", AmsBound),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas, count: 3);
        CheckDecay(problems, WeightDecay);
        problems.Require(Eps1 >= 0, "eps1", $"is {Eps1}.", "Use 1e-30.");
        problems.Require(Eps2 >= 0, "eps2", $"is {Eps2}.", "Use 1e-16.");
        problems.Require(ClipThreshold > 0, "clip_threshold", $"is {ClipThreshold}.", "Use a positive number; 1 is usual.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new CameRule(this, parameters);
}

// Luo et al. 2023, algorithm 2, as pytorch-optimizer 4.1 computes it: the release kohya pins spoils the momentum of vectors.
internal sealed unsafe class CameRule : UpdateRule
{
    private readonly CameOptions options;
    private readonly Tensor mean;
    private readonly FactoredMoment square, residue;
    private readonly Tensor? largest;

    public CameRule(CameOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        mean = Slot("exp_avg");
        square = new(parameters, "exp_avg_sq", vectors: true, (name, length) => Slot(name, length));
        residue = new(parameters, "exp_avg_res", vectors: false, (name, length) => Slot(name, length));
        largest = options.AmsBound ? Slot("exp_avg_sq_hat") : null;
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
        {
            var tensors = group.Runs.SelectMany(run => run.Tensors).ToLookup(tensor => largest is null && FactoredMoment.IsFused(Parameters, tensor));
            foreach (var tensor in tensors[false]) Update(tensor, group.Rate);
            var (p, g, m) = (ElementLoop.Address<float>(Values), ElementLoop.Address<float>(Gradients), ElementLoop.Address<float>(mean));
            FactoredMoment.ForEach([.. tensors[true]], tensor => Update(tensor, (float*)p + tensor.Start, (float*)g + tensor.Start, (float*)m + tensor.Start, group.Rate));
        }
    }

    private void Update(TrainedTensor tensor, double rate)
    {
        using var scope = NewDisposeScope();
        var (p, g, m) = (tensor.Of(Values), tensor.Of(Gradients), tensor.Of(mean));
        if (options is { WeightDecay: not 0, WeightDecouple: true }) p.mul_(1 - options.WeightDecay * (options.FixedDecay ? 1 : rate));
        var squares = g.square().add_(options.Eps1);
        Tensor u;
        if (largest is null) u = square.Divide(tensor, squares, g, options.Betas[1]);
        else
        {
            var most = tensor.Of(largest);
            most.copy_(maximum(most, square.Divide(tensor, squares, ones_like(g), options.Betas[1]).reciprocal_()));
            u = (most / options.Betas[1]).rsqrt_().mul_(g);
        }
        u.div_(Math.Max(1, AdaFactorRule.Rms(u) / options.ClipThreshold));
        var beta1 = Momentum ?? options.Betas[0];
        m.mul_(beta1).add_(u, 1 - beta1);
        var step = FactoredMoment.IsFactored(tensor) ? residue.Divide(tensor, u.sub_(m).pow_(2).add_(options.Eps2), m, options.Betas[2]) : m;
        p.add_(step, -rate);
    }

    // The same, row by row; gradients become what remains of the update beside its mean.
    private void Update(TrainedTensor tensor, float* p, float* g, float* m, double rate)
    {
        var decay = options.WeightDecay * (options.FixedDecay ? 1 : rate);
        Span<double> none = [];
        var squares = square.TakeIn(tensor, g, options.Eps1, options.Betas[1]).Run(row => new Divide(row), p, g, null);
        var shrink = 1 / Math.Max(1, Math.Sqrt(squares / tensor.Length) / options.ClipThreshold);
        ElementLoop.Go(new Average(shrink, Momentum ?? options.Betas[0]), p, g, m, null, null, null, null, (int)tensor.Length, none);
        residue.TakeIn(tensor, g, options.Eps2, options.Betas[2]).Run(row => new Move(row, rate, options.WeightDecouple ? 1 - decay : 1), p, g, m);
    }

    private readonly struct Divide(double row) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Gradient | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.G = x.G * row * x.A;
            x.Sum1 = x.G * x.G;
        }
    }

    private readonly struct Average(double shrink, double keep) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Gradient | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var u = x.G * shrink;
            x.A = x.A * keep + u * (1 - keep);
            x.G = u - x.A;
        }
    }

    private readonly struct Move(double row, double rate, double stay) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * stay - x.B * row * x.A * rate;
    }
}
