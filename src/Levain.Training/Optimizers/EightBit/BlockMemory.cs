using static TorchSharp.torch;

namespace Levain.Training.EightBit;

/// <summary>
/// One moment of all tensors, a byte for each element: blocks of 256 elements of one tensor share the fp32 number they are multiples of. Small tensors
/// are kept in fp32 as they are.
/// </summary>
internal sealed class BlockMemory
{
    /// <summary>Elements of a block.</summary>
    public const int Block = 256;

    private readonly Dictionary<TrainedTensor, (bool Coded, long Start, long Block)> places = [];

    /// <param name="parameters">What is trained.</param>
    /// <param name="map">The numbers that bytes stand for.</param>
    /// <param name="smallest">Elements from which on a tensor is coded.</param>
    /// <param name="slot">Makes a slot of so many elements.</param>
    /// <param name="name">The slots' name: <c>state1</c>.</param>
    public BlockMemory(TrainedParameters parameters, DynamicMap map, long smallest, string name, Func<string, long, ScalarType, Tensor> slot)
    {
        Map = map;
        var (coded, blocks, plain) = (0L, 0L, 0L);
        foreach (var tensor in parameters.Groups.SelectMany(group => group.Tensors))
            if (tensor.Length >= smallest)
            {
                places[tensor] = (true, coded, blocks);
                (coded, blocks) = (coded + tensor.Length, blocks + (tensor.Length + Block - 1) / Block);
            }
            else
            {
                places[tensor] = (false, plain, 0);
                plain += tensor.Length;
            }
        (Codes, Largest, Plain) = (slot(name, coded, ScalarType.Byte), slot(name + ".absmax", blocks, ScalarType.Float32), slot(name + ".plain", plain, ScalarType.Float32));
    }

    /// <summary>The numbers that bytes stand for.</summary>
    public DynamicMap Map { get; }

    /// <summary>A byte for each element of the coded tensors.</summary>
    public Tensor Codes { get; }

    /// <summary>A number for each block.</summary>
    public Tensor Largest { get; }

    /// <summary>The small tensors.</summary>
    public Tensor Plain { get; }

    /// <summary>Where a tensor's memory is: coded or plain, its first element there, its first block.</summary>
    public (bool Coded, long Start, long Block) this[TrainedTensor tensor] => places[tensor];

    /// <summary>A coded tensor's numbers.</summary>
    public Tensor Decode(TrainedTensor tensor)
    {
        using var scope = NewDisposeScope();
        var (_, start, block) = this[tensor];
        var numbers = Map.ToTensor(Codes.device).index_select(0, Codes.narrow(0, start, tensor.Length).to(ScalarType.Int64));
        return (numbers * Spread(tensor, block)).MoveToOuterDisposeScope();
    }

    /// <summary>Takes in a coded tensor's new numbers.</summary>
    public void Encode(TrainedTensor tensor, Tensor numbers, bool keepSign)
    {
        using var scope = NewDisposeScope();
        var (_, start, block) = this[tensor];
        var blocks = (tensor.Length + Block - 1) / Block;
        var filled = nn.functional.pad(numbers, (0L, blocks * Block - tensor.Length)).view(blocks, Block);
        Largest.narrow(0, block, blocks).copy_(filled.abs().amax([1]));
        var shares = numbers / Spread(tensor, block);
        Codes.narrow(0, start, tensor.Length).copy_(Map.Encode(where(shares.isnan(), zeros_like(shares), shares), keepSign));
    }

    private Tensor Spread(TrainedTensor tensor, long block) =>
        Largest.narrow(0, block, (tensor.Length + Block - 1) / Block).repeat_interleave(Block).narrow(0, 0, tensor.Length);
}
