using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>
/// x·Wᵀ of many rows, by whichever of libtorch's two libraries is the faster one here: its BLAS, or its convolutions, which see the rows as the
/// pixels of pictures and W as a 1×1 kernel. Nothing is copied for it: rows of channels are a picture with the channels last.
/// </summary>
internal static class MatrixProduct
{
    // libtorch leaves 1×1 convolutions of fewer pictures to its BLAS where it has one thread.
    private const long Pictures = 16;

    // Multiplications below which starting the convolution costs more than it saves.
    private const long Large = 1 << 23;

    /// <param name="x">Rows, [..., I].</param>
    /// <param name="weight">[O, I], or a 1×1 kernel, of x's type.</param>
    /// <param name="bias">[O], or null.</param>
    /// <returns>[..., O]; the caller's scope owns it.</returns>
    public static Tensor Of(Tensor x, Tensor weight, Tensor? bias)
    {
        var (outputs, inputs) = (weight.size(0), weight.size(1));
        if (!IsConvolution(x, outputs, inputs)) return functional.linear(x, weight.dim() == 2 ? weight : weight.view(outputs, inputs), bias);
        using var scope = NewDisposeScope();
        return Rows(functional.conv2d(AsPictures(x, inputs), AsKernel(weight), bias), x, outputs).MoveToOuterDisposeScope();
    }

    /// <summary>The way back: y·W for a gradient of the output.</summary>
    /// <param name="y">Rows, [..., O].</param>
    /// <param name="weight">[O, I], or a 1×1 kernel, of y's type.</param>
    /// <returns>[..., I]; the caller's scope owns it.</returns>
    public static Tensor Back(Tensor y, Tensor weight)
    {
        var (outputs, inputs) = (weight.size(0), weight.size(1));
        using var scope = NewDisposeScope();
        if (!IsConvolution(y, inputs, outputs)) return y.matmul(weight.dim() == 2 ? weight : weight.view(outputs, inputs)).MoveToOuterDisposeScope();
        return Rows(functional.conv_transpose2d(AsPictures(y, outputs), AsKernel(weight)), y, inputs).MoveToOuterDisposeScope();
    }

    private static bool IsConvolution(Tensor x, long outputs, long inputs) => x.numel() / inputs % Pictures == 0 && IsConvolution(x, x.numel() / inputs, outputs, inputs);

    /// <summary>Whether a product of this size is a convolution here, if its rows can be dealt out evenly.</summary>
    /// <param name="x">Tells type and device.</param>
    public static bool IsConvolution(Tensor x, long rows, long outputs, long inputs) =>
        rows * outputs * inputs >= Large && x.device_type == DeviceType.CPU && (x.dtype is ScalarType.Float32 or ScalarType.BFloat16) && Engine.ProductsByConvolution;

    // [..., C] → [16, C, 1, rows/16], channels last
    private static Tensor AsPictures(Tensor rows, long channels) => rows.reshape(Pictures, 1, -1, channels).permute(0, 3, 1, 2);

    private static Tensor AsKernel(Tensor weight) => weight.dim() == 2 ? weight.unsqueeze(-1).unsqueeze(-1) : weight;

    private static Tensor Rows(Tensor pictures, Tensor like, long channels) => pictures.permute(0, 2, 3, 1).reshape([.. like.shape[..^1], channels]);
}
