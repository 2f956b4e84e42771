using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>
/// A piece of a network that forgets its inner activations: it runs unrecorded, and when its gradient is asked for it runs again, recorded, on the
/// same inputs and the same random numbers. Outputs and gradients have the bits of a recorded run.
/// </summary>
/// <remarks>Chen et al. 2016, https://arxiv.org/abs/1604.06174. Gradients of weights inside (adapters) are added to them during the second run.</remarks>
internal sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
{
    private const string Key = "piece";
    private const int InputsAt = 2;

    [ThreadStatic] private static bool runsAgain;

    /// <inheritdoc/>
    public override string Name => nameof(Recomputed);

    /// <summary>Whether what this thread computes now, unrecorded, will be computed again and recorded: both have to go the same way.</summary>
    public static bool RunsAgain => runsAgain;

    /// <summary>Runs <paramref name="body"/> on <paramref name="inputs"/>.</summary>
    /// <param name="anchor">Any tensor that requires a gradient, so that the piece takes part in the backward pass although none of its inputs may.</param>
    /// <param name="draws">The generator that dropouts inside draw from, or null.</param>
    public static Tensor Run(Func<Tensor[], Tensor> body, Tensor anchor, Generator? draws, Tensor[] inputs) =>
        apply([new Piece(body, draws), anchor, .. inputs]);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var piece = (Piece)vars[0];
        Tensor[] inputs = [.. vars.Skip(InputsAt).Cast<Tensor>()];
        ctx.save_data(Key, piece);
        ctx.save_for_backward([.. inputs]);
        return piece.FirstRun(inputs);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var scope = NewDisposeScope();
        using var recorded = enable_grad();
        var saved = ctx.get_saved_variables();
        Tensor[] inputs = [.. saved.Select(input => input.detach().requires_grad_(input.requires_grad))];
        ((Piece)ctx.get_data(Key)).SecondRun(inputs).backward([gradient]);
        saved.ForEach(tensor => tensor.Dispose());
        gradient.Dispose();

        var gradients = new List<Tensor> { null!, null! };
        foreach (var input in inputs) gradients.Add(HandedOver.Keep(input.requires_grad ? input.grad : null)!);
        return gradients;
    }

    /// <summary>What is run twice, and where the generator stood at first.</summary>
    private sealed class Piece(Func<Tensor[], Tensor> body, Generator? draws)
    {
        private Tensor? state;

        public Tensor FirstRun(Tensor[] inputs)
        {
            state = draws?.get_state().DetachFromDisposeScope();
            try
            {
                runsAgain = true;
                return body(inputs);
            }
            finally
            {
                runsAgain = false;
            }
        }

        public Tensor SecondRun(Tensor[] inputs)
        {
            if (draws is null) return body(inputs);
            using var now = draws.get_state();
            draws.set_state(state!);
            state!.Dispose();
            try
            {
                return body(inputs);
            }
            finally
            {
                draws.set_state(now);
            }
        }
    }
}
