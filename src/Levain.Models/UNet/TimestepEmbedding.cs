using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Two linear layers with SiLU between: the timestep's sinusoids (or SDXL's label vector) widened to what the resnets listen to.</summary>
public sealed class TimestepEmbedding : Module<Tensor, Tensor>
{
    private readonly LinearLayer linear_1, linear_2;

    /// <param name="inputs">Width of the sinusoids.</param>
    /// <param name="outputs">Width T of the embedding.</param>
    public TimestepEmbedding(long inputs, long outputs, Compute compute) : base(nameof(TimestepEmbedding))
    {
        linear_1 = new(inputs, outputs, compute);
        linear_2 = new(outputs, outputs, compute);
        RegisterComponents();
    }

    /// <param name="x">Sinusoids, [B, inputs].</param>
    /// <returns>[B, T].</returns>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return linear_2.call(functional.silu(linear_1.call(x))).MoveToOuterDisposeScope();
    }
}
