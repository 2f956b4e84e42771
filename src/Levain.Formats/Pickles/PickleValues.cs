using static TorchSharp.torch;

namespace Levain.Formats.Pickles;

// What an unpickled file is made of, besides null, bool, long, BigInteger, double, string, byte[] and List<object?>.

/// <summary>A name the pickle refers to: never looked up, never called.</summary>
/// <param name="Role">What it stands for; only names with a role get this far.</param>
internal sealed record PickleGlobal(string Module, string Name, PickleRole Role)
{
    public override string ToString() => $"{Module}.{Name}";
}

/// <summary>A tuple. Compared by reference, so that a nested one cannot make comparing expensive.</summary>
internal sealed class PickleTuple(object?[] items)
{
    public object?[] Items { get; } = items;
}

/// <summary>A dict, an OrderedDict or a ParameterDict, in insertion order.</summary>
internal sealed class PickleDict
{
    private readonly OrderedDictionary<object, object?> items = [];

    public IEnumerable<KeyValuePair<object, object?>> Items => items;

    public void Set(object key, object? value) => items[key] = value;

    public object? Get(string key) => items.GetValueOrDefault(key);
}

/// <summary>A set or frozenset; its members do not matter here.</summary>
internal sealed class PickleSet;

/// <summary>An object of a class that is known to be data only: its parts are kept, nothing is made of them.</summary>
internal sealed class PickleObject(PickleGlobal type)
{
    public PickleGlobal Type { get; } = type;

    public PickleDict Items { get; } = new();

    public object? State { get; set; }
}

/// <summary>A run of values in the file that tensors look into.</summary>
/// <param name="Key">Name of the record that holds it.</param>
/// <param name="Dtype">Type of the values; null for raw bytes, whose type each tensor gives.</param>
/// <param name="Count">How many values, or bytes.</param>
/// <param name="Start">First value that tensors see, counted in the record (old files cut storages into views).</param>
internal sealed record PickleStorage(string Key, ScalarType? Dtype, long Count, long Start = 0);

/// <summary>A tensor: a view of a storage, checked to lie inside it.</summary>
internal sealed record PickleTensor(PickleStorage Storage, ScalarType Dtype, long Offset, long[] Size, long[] Stride)
{
    /// <summary>Values of the storage from the first to the last that the tensor touches.</summary>
    public long Span { get; init; }

    /// <summary>Values of the tensor.</summary>
    public long Count { get; init; }
}
