using static TorchSharp.torch;

namespace Levain.Training.Elements;

/// <summary>A tensor of any device and type. Results belong to the scope that is open.</summary>
internal readonly struct TensorLanes(Tensor tensor) : ILanes<TensorLanes>
{
    /// <summary>The tensor.</summary>
    public Tensor Tensor { get; } = tensor;

    public static TensorLanes operator +(TensorLanes left, TensorLanes right) => new(left.Tensor + right.Tensor);

    public static TensorLanes operator -(TensorLanes left, TensorLanes right) => new(left.Tensor - right.Tensor);

    public static TensorLanes operator *(TensorLanes left, TensorLanes right) => new(left.Tensor * right.Tensor);

    public static TensorLanes operator /(TensorLanes left, TensorLanes right) => new(left.Tensor / right.Tensor);

    public static TensorLanes operator *(TensorLanes lanes, double number) => new(lanes.Tensor * number);

    public static TensorLanes operator +(TensorLanes lanes, double number) => new(lanes.Tensor + number);

    public static TensorLanes Root(TensorLanes lanes) => new(lanes.Tensor.sqrt());

    public static TensorLanes Size(TensorLanes lanes) => new(lanes.Tensor.abs());

    public static TensorLanes Sign(TensorLanes lanes) => new(lanes.Tensor.sign());

    public static TensorLanes Max(TensorLanes left, TensorLanes right) => new(maximum(left.Tensor, right.Tensor));

    public static TensorLanes Min(TensorLanes left, TensorLanes right) => new(minimum(left.Tensor, right.Tensor));

    public static TensorLanes Where(TensorLanes test, TensorLanes positive, TensorLanes other) => new(where(test.Tensor > 0, positive.Tensor, other.Tensor));
}
