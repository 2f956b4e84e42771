using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Steps of exactly the learning rate in the direction of a mixed momentum's sign.</summary>
    public static Optimizer Lion { get; } = new(
        "Lion", "Every element moves by exactly the learning rate", new("https://arxiv.org/abs/2302.06675"), ["exp_avg"], UpdateLion);

    // Chen et al. 2023, program 1.
    private static void UpdateLion(OptimizerOptions options, Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> slots, double rate, long step)
    {
        using var scope = NewDisposeScope();
        var mean = slots[0];
        parameter.mul_(1 - rate * options.WeightDecay);
        parameter.add_(mean.mul(options.Beta1).add_(gradient, alpha: 1 - options.Beta1).sign_(), alpha: -rate);
        mean.mul_(options.Beta2).add_(gradient, alpha: 1 - options.Beta2);
    }
}
