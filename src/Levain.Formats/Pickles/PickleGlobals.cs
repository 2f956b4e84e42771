using static TorchSharp.torch;

namespace Levain.Formats.Pickles;

/// <summary>What a name in a pickle stands for.</summary>
internal enum PickleRole
{
    OrderedDict,
    ParameterDict,
    RebuildTensor,
    RebuildTypedTensor,
    RebuildParameter,
    Storage,
    Dtype,
    Size,
    Set,
    Bytes,
    Encode,

    /// <summary>Data that is kept as it lies: devices, numpy values, trainers' settings.</summary>
    Opaque,
}

/// <summary>
/// The only names a pickle may use, each by exact module and name. A name that is not here is refused wherever it appears,
/// whether or not anything would be done with it.
/// </summary>
internal static class PickleGlobals
{
    private static readonly Dictionary<(string Module, string Name), PickleRole> Known = new()
    {
        [("collections", "OrderedDict")] = PickleRole.OrderedDict,
        [("torch.nn.modules.container", "ParameterDict")] = PickleRole.ParameterDict,
        [("torch._utils", "_rebuild_tensor")] = PickleRole.RebuildTensor,
        [("torch._utils", "_rebuild_tensor_v2")] = PickleRole.RebuildTensor,
        [("torch._utils", "_rebuild_tensor_v3")] = PickleRole.RebuildTypedTensor,
        [("torch._utils", "_rebuild_parameter")] = PickleRole.RebuildParameter,
        [("torch", "Size")] = PickleRole.Size,
        [("torch", "device")] = PickleRole.Opaque,
        [("numpy", "dtype")] = PickleRole.Opaque,
        [("numpy", "ndarray")] = PickleRole.Opaque,
        [("numpy.core.multiarray", "scalar")] = PickleRole.Opaque,
        [("numpy.core.multiarray", "_reconstruct")] = PickleRole.Opaque,
        [("numpy._core.multiarray", "scalar")] = PickleRole.Opaque, // numpy 2
        [("numpy._core.multiarray", "_reconstruct")] = PickleRole.Opaque,
        [("argparse", "Namespace")] = PickleRole.Opaque,
        [("_codecs", "encode")] = PickleRole.Encode, // how protocol 2 writes bytes
        [("builtins", "set")] = PickleRole.Set,
        [("builtins", "frozenset")] = PickleRole.Set,
        [("builtins", "bytes")] = PickleRole.Bytes,
        [("builtins", "bytearray")] = PickleRole.Bytes,
        [("__builtin__", "set")] = PickleRole.Set,
        [("__builtin__", "frozenset")] = PickleRole.Set,
        [("__builtin__", "bytes")] = PickleRole.Bytes,
        [("__builtin__", "bytearray")] = PickleRole.Bytes,
    };

    private static readonly Dictionary<string, ScalarType> Storages = new()
    {
        ["FloatStorage"] = ScalarType.Float32,
        ["DoubleStorage"] = ScalarType.Float64,
        ["HalfStorage"] = ScalarType.Float16,
        ["BFloat16Storage"] = ScalarType.BFloat16,
        ["LongStorage"] = ScalarType.Int64,
        ["IntStorage"] = ScalarType.Int32,
        ["ShortStorage"] = ScalarType.Int16,
        ["CharStorage"] = ScalarType.Int8,
        ["ByteStorage"] = ScalarType.Byte,
        ["BoolStorage"] = ScalarType.Bool,
        ["ComplexFloatStorage"] = ScalarType.ComplexFloat32,
    };

    private static readonly Dictionary<string, ScalarType> Types = new()
    {
        ["float32"] = ScalarType.Float32,
        ["float64"] = ScalarType.Float64,
        ["float16"] = ScalarType.Float16,
        ["bfloat16"] = ScalarType.BFloat16,
        ["float8_e4m3fn"] = Dtypes.Float8E4M3,
        ["float8_e5m2"] = Dtypes.Float8E5M2,
        ["int64"] = ScalarType.Int64,
        ["int32"] = ScalarType.Int32,
        ["int16"] = ScalarType.Int16,
        ["int8"] = ScalarType.Int8,
        ["uint8"] = ScalarType.Byte,
        ["uint16"] = Dtypes.UInt16,
        ["uint32"] = Dtypes.UInt32,
        ["uint64"] = Dtypes.UInt64,
        ["bool"] = ScalarType.Bool,
        ["complex64"] = ScalarType.ComplexFloat32,
    };

    /// <summary>The name with its role, or null where it must be refused.</summary>
    public static PickleGlobal? Find(string module, string name)
    {
        if (Known.TryGetValue((module, name), out var role)) return new(module, name, role);
        if (module is "torch" or "torch.cuda" && Storages.ContainsKey(name)) return new(module, name, PickleRole.Storage);
        if (module == "torch.storage" && name is "UntypedStorage" or "_UntypedStorage" or "TypedStorage") return new(module, name, PickleRole.Storage);
        if (module == "torch" && Types.ContainsKey(name)) return new(module, name, PickleRole.Dtype);

        // Callbacks and settings that Lightning leaves in checkpoints are classes; its functions are lower-case.
        if (module == "pytorch_lightning" || module.StartsWith("pytorch_lightning.", StringComparison.Ordinal))
            return name.Length > 0 && char.IsAsciiLetterUpper(name[0]) && name.All(char.IsAsciiLetterOrDigit) ? new(module, name, PickleRole.Opaque) : null;
        return null;
    }

    /// <summary>The type of a storage class's values; null for raw bytes.</summary>
    public static ScalarType? StorageType(PickleGlobal type) => type.Module == "torch.storage" ? null : Storages[type.Name];

    /// <summary>The type a <c>torch.float16</c> stands for.</summary>
    public static ScalarType TypeOf(PickleGlobal dtype) => Types[dtype.Name];
}
