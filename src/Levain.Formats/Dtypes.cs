using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>The types a tensor may be stored in: their safetensors names, sizes and order.</summary>
public static class Dtypes
{
    // libtorch knows these (c10/core/ScalarType.h), TorchSharp's enumeration does not name them yet; the numbers pass through.

    /// <summary>8-bit float with 5 exponent bits and infinities; storage only.</summary>
    public const ScalarType Float8E5M2 = (ScalarType)23;

    /// <summary>8-bit float with 4 exponent bits, no infinities, NaN 0x7F and 0xFF; storage only.</summary>
    public const ScalarType Float8E4M3 = (ScalarType)24;

    /// <summary>Unsigned 16-bit integer; storage only.</summary>
    public const ScalarType UInt16 = (ScalarType)27;

    /// <summary>Unsigned 32-bit integer; storage only.</summary>
    public const ScalarType UInt32 = (ScalarType)28;

    /// <summary>Unsigned 64-bit integer; storage only.</summary>
    public const ScalarType UInt64 = (ScalarType)29;

    // In the order of the reference library's enumeration: its writer lays tensors out by type, last of this list first.
    private static readonly (string Name, ScalarType Type, int Size)[] Table =
    [
        ("BOOL", ScalarType.Bool, 1), ("U8", ScalarType.Byte, 1), ("I8", ScalarType.Int8, 1),
        ("F8_E5M2", Float8E5M2, 1), ("F8_E4M3", Float8E4M3, 1),
        ("I16", ScalarType.Int16, 2), ("U16", UInt16, 2), ("F16", ScalarType.Float16, 2), ("BF16", ScalarType.BFloat16, 2),
        ("I32", ScalarType.Int32, 4), ("U32", UInt32, 4), ("F32", ScalarType.Float32, 4),
        ("C64", ScalarType.ComplexFloat32, 8), ("F64", ScalarType.Float64, 8), ("I64", ScalarType.Int64, 8), ("U64", UInt64, 8),
    ];

    /// <summary>Name in a safetensors header: <c>F32</c>, <c>BF16</c>, <c>F8_E4M3</c>.</summary>
    public static string Name(ScalarType type) => Row(type).Name;

    /// <summary>Bytes of one value.</summary>
    public static int Size(ScalarType type) => Row(type).Size;

    /// <summary>Whether values are floating point and can therefore be NaN or infinite.</summary>
    public static bool IsFloat(ScalarType type) => Name(type)[0] is 'F' or 'B' && type != ScalarType.Bool;

    /// <summary>The type of a safetensors name, or null.</summary>
    public static ScalarType? Parse(string name)
    {
        foreach (var row in Table)
        {
            if (row.Name == name) return row.Type;
        }
        return null;
    }

    /// <summary>All names, for messages.</summary>
    internal static string Names => string.Join(", ", Table.Select(row => row.Name));

    /// <summary>Place in the reference library's order of types.</summary>
    internal static int Rank(ScalarType type) => Array.FindIndex(Table, row => row.Type == type);

    private static (string Name, ScalarType Type, int Size) Row(ScalarType type)
    {
        foreach (var row in Table)
        {
            if (row.Type == type) return row;
        }
        throw new ArgumentOutOfRangeException(nameof(type), type, "is not a type that files store.");
    }
}
