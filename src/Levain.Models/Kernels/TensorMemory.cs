using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Where a tensor's numbers lie.</summary>
internal static partial class TensorMemory
{
    /// <summary>Address of the first element; the tensor has to be kept alive beside it.</summary>
    public static nint Address(Tensor tensor) => THSTensor_data(tensor.Handle);

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTensor_data(nint tensor);
}
