using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>The transformer's per-token network: widen eightfold, let one half gate the other, narrow again.</summary>
public sealed class FeedForward : Module<Tensor, Tensor>
{
    private const int Widening = 4;
    private readonly ModuleList<Module<Tensor, Tensor>> net;

    /// <param name="channels">Width C of the tokens.</param>
    public FeedForward(long channels, Compute compute) : base(nameof(FeedForward))
    {
        var inner = Widening * channels;
        net = new(new GEGLU(channels, inner, compute), Identity(), new LinearLayer(inner, channels, compute));      // Identity: the dropout between has a number in the keys
        RegisterComponents();
    }

    /// <param name="x">Tokens, [B, N, C].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return net[2].call(net[0].call(x)).MoveToOuterDisposeScope();
    }
}

/// <summary>a·GELU(g) of one linear layer's two halves, with the exact (erf) GELU (Shazeer 2020, https://arxiv.org/abs/2002.05202).</summary>
public sealed class GEGLU : Module<Tensor, Tensor>
{
    private readonly LinearLayer proj;

    /// <param name="inputs">Width of x.</param>
    /// <param name="outputs">Width of the result.</param>
    public GEGLU(long inputs, long outputs, Compute compute) : base(nameof(GEGLU))
    {
        proj = new(inputs, 2 * outputs, compute);
        RegisterComponents();
    }

    /// <param name="x">Tokens, [B, N, inputs].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var wide = proj.call(x);
        if (GatedGelu.Suits(wide)) return FusedGate.Run(wide).MoveToOuterDisposeScope();
        var halves = wide.chunk(2, -1);
        return (halves[0] * functional.gelu(halves[1])).MoveToOuterDisposeScope();
    }
}
