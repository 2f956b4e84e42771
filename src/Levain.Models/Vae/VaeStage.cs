using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A resnet of the autoencoder, with what comes before it: the enlargement with which a level of the decoder begins, or the encoder's first convolution.</summary>
/// <param name="Before">What comes before; null for nothing.</param>
/// <param name="Enlarges">Whether that doubles height and width.</param>
internal sealed record VaeStage(Func<Tensor, Tensor>? Before, bool Enlarges, ResnetBlock2D Resnet)
{
    private const long OfResnet = 2, OfOther = 2;       // two 3×3 convolutions; one, rounded up to an even number

    /// <summary>How far it looks, in cells of its input; even. After an enlargement the resnet's three convolutions look over three cells of the larger map, which are two.</summary>
    public long Reach => Before is null || Enlarges ? OfResnet : OfResnet + OfOther;

    /// <summary>Channels that come out.</summary>
    public long Channels => Norm("norm2").Weight.shape[0];

    /// <summary>What the resnet gets.</summary>
    public Tensor Entered(Tensor x) => Before?.Invoke(x) ?? x;

    /// <summary>All of it.</summary>
    public Tensor Run(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Resnet.call(Entered(x), null).MoveToOuterDisposeScope();
    }

    /// <summary>A norm of the resnet by its field's name.</summary>
    public GroupNormLayer Norm(string name) => (GroupNormLayer)Resnet.named_children().First(child => child.name == name).module;
}
