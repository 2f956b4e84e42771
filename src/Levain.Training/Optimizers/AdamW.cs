using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam with weight decay apart from the gradient: what kohya trains with unless told otherwise.</summary>
    public static Optimizer AdamW { get; } = new(
        "AdamW", "Steps of about the learning rate, by gradient mean over root mean square", new("https://arxiv.org/abs/1711.05101"),
        ["exp_avg", "exp_avg_sq"], UpdateAdamW);

    // Loshchilov and Hutter 2019, algorithm 2, in the order of operations of torch.optim.AdamW.
    private static void UpdateAdamW(OptimizerOptions options, Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> slots, double rate, long step)
    {
        using var scope = NewDisposeScope();
        var (mean, square) = (slots[0], slots[1]);
        var (meanCorrection, squareCorrection) = (1 - Math.Pow(options.Beta1, step), 1 - Math.Pow(options.Beta2, step));
        parameter.mul_(1 - rate * options.WeightDecay);
        mean.lerp_(gradient, 1 - options.Beta1);
        square.mul_(options.Beta2).addcmul_(gradient, gradient, 1 - options.Beta2);
        var scale = square.sqrt().div_(Math.Sqrt(squareCorrection)).add_(options.Epsilon);
        parameter.addcdiv_(mean, scale, -rate / meanCorrection);
    }
}
