using System.Numerics;
using Levain.Core;

namespace Levain.Formats.Pickles;

/// <summary>Turns what a pickle says about a tensor into one that is known to fit its storage.</summary>
internal static class PickleTensors
{
    private const int MaxRank = 64;

    // A view may repeat values (expanded tensors do), but not so as to outgrow memory.
    private const long MaxRepeatedBytes = 64L << 20;

    /// <summary><c>_rebuild_tensor(storage, offset, size, stride, …)</c>, or with a type of its own in place 6 (<c>_v3</c>).</summary>
    public static PickleTensor Rebuild(object?[] arguments, bool typed)
    {
        if (arguments.Length < 4 || arguments[0] is not PickleStorage storage) throw Bad("is not rebuilt from a storage.");
        var type = typed
            ? arguments.Length > 6 && arguments[6] is PickleGlobal { Role: PickleRole.Dtype } named ? PickleGlobals.TypeOf(named) : throw Bad("has no type that is known here.")
            : storage.Dtype ?? throw Bad("looks at raw bytes without saying their type.");
        var held = storage.Dtype is null ? storage.Count / Dtypes.Size(type) : storage.Count;
        var offset = Whole(arguments[1]);
        var size = Wholes(arguments[2]);
        var stride = Wholes(arguments[3]);
        if (size.Length != stride.Length || size.Length > MaxRank) throw Bad($"has {size.Length} sides and {stride.Length} strides.");
        try
        {
            var count = size.Aggregate(1L, (product, side) => checked(product * side));
            _ = checked(count * Dtypes.Size(type));
            var span = count == 0 ? 0 : 1 + size.Zip(stride).Sum(axis => checked((axis.First - 1) * axis.Second));
            if (checked(offset + span) > held) throw Bad($"reaches value {offset + span:N0} of a storage that holds {held:N0}.");
            if (count > held && count * Dtypes.Size(type) > MaxRepeatedBytes)
                throw new PickleFault(CheckpointFault.TooLarge, $"a tensor repeats {held:N0} stored values to {count:N0}; no real model does.");
            return new(storage, type, offset, size, stride) { Count = count, Span = span };
        }
        catch (OverflowException)
        {
            throw Bad("has a size beyond any memory.");
        }
    }

    private static long[] Wholes(object? value) => value is PickleTuple tuple ? [.. tuple.Items.Select(Whole)] : throw Bad("has a size that is no tuple.");

    private static long Whole(object? value) => value switch
    {
        >= 0L => (long)value,
        long negative => throw Bad($"has {negative} among its sizes, strides and offset."),
        BigInteger => throw Bad("has a size beyond any memory."),
        _ => throw Bad("has a size that is no number."),
    };

    private static PickleFault Bad(string what) => new(CheckpointFault.BadTensor, $"a tensor {what}");
}

/// <summary>What is wrong with a pickle; the file's reader adds the path.</summary>
internal sealed class PickleFault(CheckpointFault fault, string what) : Exception(what)
{
    public CheckpointFault Fault { get; } = fault;
}
