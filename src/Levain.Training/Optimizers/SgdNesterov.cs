using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent with Nesterov's momentum; <see cref="OptimizerOptions.Beta1"/> is the momentum.</summary>
    public static Optimizer SgdNesterov { get; } = new(
        "SGDNesterov", "Gradient descent with momentum that looks ahead", new("https://proceedings.mlr.press/v28/sutskever13.html"),
        ["momentum_buffer"], UpdateSgdNesterov);

    // torch.optim.SGD with nesterov: a momentum that starts at 0 equals one that starts at the first gradient, since dampening is 0.
    private static void UpdateSgdNesterov(OptimizerOptions options, Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> slots, double rate, long step)
    {
        if (options.WeightDecay != 0) gradient.add_(parameter, alpha: options.WeightDecay);
        slots[0].mul_(options.Beta1).add_(gradient);
        gradient.add_(slots[0], alpha: options.Beta1);
        parameter.add_(gradient, alpha: -rate);
    }
}
