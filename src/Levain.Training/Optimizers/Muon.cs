using Levain.Core;
using Levain.Training.Elements;
using Levain.Training.Orthogonal;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Momentum made orthogonal: every direction of a matrix moves by about as much.</summary>
    public static Optimizer Muon { get; } = new("Muon", "Momentum made orthogonal, matrix by matrix; vectors by AdamW", new("https://kellerjordan.github.io/posts/muon/"), new MuonOptions())
    {
        Class = "torch.optim._muon.Muon",
        Aliases = ["torch.optim.Muon"],
        CaseMatters = true,
        Advice = "Experimental for networks. Learning rate 1e-3, or AdamW's with adjust_lr_fn \"match_rms_adamw\".",
    };
}

/// <summary>How long Muon's steps are.</summary>
public enum MuonScale
{
    /// <summary>√(rows ÷ columns), at least 1.</summary>
    Original,

    /// <summary>0.2·√(the longer side): about as long as AdamW's.</summary>
    MatchRmsAdamw,
}

/// <summary>Options of <see cref="Optimizers.Muon"/>.</summary>
public sealed record MuonOptions : OptimizerOptions
{
    /// <summary>Share of the old momentum that a step keeps, 0 to below 1. Default 0.95.</summary>
    public double Momentum { get; init; } = 0.95;

    /// <summary>Steps along gradient and momentum as they will be. Default on.</summary>
    public bool Nesterov { get; init; } = true;

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.1.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Rounds of Newton and Schulz, 1 to 20. Default 5.</summary>
    public int NsSteps { get; init; } = 5;

    /// <summary>Coefficients of a round: x ← a·x + b·x³ + c·x⁵ of every singular value. Default [3.4445, -4.775, 2.0315].</summary>
    public IReadOnlyList<double> NsCoefficients { get; init; } = [3.4445, -4.7750, 2.0315];

    /// <summary>Least length that a momentum is divided by. Default 1e-7.</summary>
    public double Eps { get; init; } = 1e-7;

    /// <summary>How long steps are. Default original.</summary>
    public MuonScale AdjustLrFn { get; init; } = MuonScale.Original;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map) => this with
    {
        Momentum = map.Number("momentum", Momentum),
        Nesterov = map.Flag("nesterov", Nesterov),
        WeightDecay = map.Number("weight_decay", WeightDecay),
        NsSteps = map.Whole("ns_steps", NsSteps),
        NsCoefficients = map.Numbers("ns_coefficients", NsCoefficients)!,
        Eps = map.Number("eps", Eps),
        AdjustLrFn = map.Choice("adjust_lr_fn", AdjustLrFn),
    };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        const int most = 20;
        problems.Require(Momentum is >= 0 and < 1, "momentum", $"is {Momentum}.", "Use 0 to below 1; 0.95 is usual.");
        CheckDecay(problems, WeightDecay);
        CheckEpsilon(problems, Eps);
        problems.Require(NsSteps is >= 1 and <= most, "ns_steps", $"is {NsSteps}.", "Use 1 to 20; 5 is usual.");
        problems.Require(NsCoefficients.Count == 3, "ns_coefficients", $"has {NsCoefficients.Count} numbers.", "Give three: [3.4445, -4.775, 2.0315].");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new MuonRule(this, parameters);
}

// Jordan et al. 2024. Convolutions are matrices of their first side by all others; what has one side only is AdamW's.
internal sealed unsafe class MuonRule : UpdateRule
{
    private const double AdamWLength = 0.2;

    private readonly MuonOptions options;
    private readonly Tensor momentum;
    private readonly Tensor? square;        // of vectors only

    public MuonRule(MuonOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        momentum = Slot("momentum_buffer");
        square = parameters.Groups.SelectMany(group => group.Tensors).Any(tensor => !IsMatrix(tensor)) ? Slot("exp_avg_sq") : null;
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var fused = Parameters is { Fused: true, Values.dtype: ScalarType.Float32 } && NewtonSchulz.IsSupported;
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var matrices = run.Tensors.Where(IsMatrix).ToList();
                if (fused) UpdateFused(matrices, group.Rate);
                else foreach (var tensor in matrices) Update(tensor, group.Rate);
                foreach (var tensor in run.Tensors.Where(tensor => !IsMatrix(tensor)))
                    Run(AdamWRule.Of(new() { WeightDecay = options.WeightDecay }, group.Rate, run.Update), [momentum, square!], [(tensor.Start, tensor.Length)]);
            }
    }

    private static bool IsMatrix(TrainedTensor tensor) => tensor.Shape.Count >= 2;

    private void Update(TrainedTensor tensor, double rate)
    {
        using var scope = NewDisposeScope();
        Tensor matrix(Tensor flat) => flat.narrow(0, tensor.Start, tensor.Length).view(tensor.Shape[0], -1);
        var (p, g, m) = (matrix(Values), matrix(Gradients), matrix(momentum));
        var keep = Momentum ?? options.Momentum;
        m.mul_(keep).add_(g, 1 - keep);
        var u = options.Nesterov ? g.mul_(1 - keep).add_(m, keep) : m;
        p.mul_(1 - rate * options.WeightDecay);
        p.add_(Orthogonal(u), -rate * Scale(p.shape[0], p.shape[1]));
    }

    private double Scale(long rows, long columns) =>
        options.AdjustLrFn is MuonScale.Original ? Math.Sqrt(Math.Max(1, rows / (double)columns)) : AdamWLength * Math.Sqrt(Math.Max(rows, columns));

    // The same in the processor's memory, each matrix by one thread.
    private void UpdateFused(List<TrainedTensor> tensors, double rate)
    {
        if (tensors.Count == 0) return;
        var (p, g, m) = (ElementLoop.Address<float>(Values), ElementLoop.Address<float>(Gradients), ElementLoop.Address<float>(momentum));
        var mix = new MomentumMix(Momentum ?? options.Momentum, options.Nesterov);
        (int Rows, int Columns) shape(TrainedTensor tensor) => ((int)tensor.Shape[0], (int)(tensor.Length / tensor.Shape[0]));
        var side = tensors.Max(tensor => Math.Min(shape(tensor).Rows, shape(tensor).Columns));
        Parallel.ForEach(tensors, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, () => new NewtonSchulz(side), (tensor, _, desk) =>
        {
            var (rows, columns) = shape(tensor);
            desk.Move((float*)p + tensor.Start, (float*)g + tensor.Start, (float*)m + tensor.Start, rows, columns, mix, 1 - rate * options.WeightDecay, rate * Scale(rows, columns), options.NsSteps, options.NsCoefficients, options.Eps);
            return desk;
        }, desk => desk.Dispose());
    }

    /// <summary>
    /// The matrix with all singular values brought near 1. Every round multiplies from the left by a polynomial of S = X·Xᵀ, and all of these commute: so
    /// the rounds are made on S, which has only the shorter side, and X is multiplied once by what comes of them.
    /// </summary>
    internal Tensor Orthogonal(Tensor u)
    {
        using var scope = NewDisposeScope();
        var tall = u.shape[0] > u.shape[1];
        var x = tall ? u.t() : u;
        x = x / Math.Max(x.norm().item<float>(), options.Eps);
        var (a, b, c) = (options.NsCoefficients[0], options.NsCoefficients[1], options.NsCoefficients[2]);
        var s = x.matmul(x.t());
        Tensor? product = null;
        for (var round = 0; round < options.NsSteps; round++)
        {
            using var inner = NewDisposeScope();
            var factor = s * b + s.matmul(s) * c;
            factor.diagonal().add_(a);
            product = (product is null ? factor : factor.matmul(product)).MoveToOuterDisposeScope();
            if (round < options.NsSteps - 1) s = factor.matmul(factor.matmul(s)).MoveToOuterDisposeScope();
        }
        var result = product!.matmul(x);
        return (tall ? result.t() : result).MoveToOuterDisposeScope();
    }
}
