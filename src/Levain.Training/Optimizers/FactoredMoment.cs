using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>
/// A second moment of all tensors kept as means over rows and columns of their last two sides, whose outer product stands for it; vectors and
/// single numbers keep theirs whole.
/// </summary>
/// <remarks>Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235, section 3.</remarks>
internal sealed unsafe partial class FactoredMoment
{
    private readonly Dictionary<TrainedTensor, (long Row, long Column)> places = [];
    private readonly Tensor rows, columns;
    private readonly Tensor? whole;

    /// <param name="parameters">What is trained.</param>
    /// <param name="name">The slots' name: <c>exp_avg_sq</c>.</param>
    /// <param name="vectors">Whether vectors have a moment too.</param>
    /// <param name="slot">Makes a slot of so many elements.</param>
    public FactoredMoment(TrainedParameters parameters, string name, bool vectors, Func<string, long, Tensor> slot)
    {
        var (row, column) = (0L, 0L);
        foreach (var tensor in parameters.Groups.SelectMany(group => group.Tensors))
        {
            if (!IsFactored(tensor) && !vectors) continue;
            places[tensor] = (row, column);
            if (IsFactored(tensor)) (row, column) = (row + tensor.Length / tensor.Shape[^1], column + tensor.Length / tensor.Shape[^2]);
        }
        (rows, columns) = (slot(name + "_row", row), slot(name + "_col", column));
        var plain = 0L;
        foreach (var tensor in places.Keys.Where(tensor => !IsFactored(tensor)).ToList())
        {
            places[tensor] = (plain, 0);
            plain += tensor.Length;
        }
        if (vectors) whole = slot(name, plain);
    }

    /// <summary>Whether a tensor has rows and columns.</summary>
    public static bool IsFactored(TrainedTensor tensor) => tensor.Shape.Count >= 2;

    /// <summary>Takes in squares, of which a share of 1 − <paramref name="keep"/> enters, and divides numbers by the root of the moment.</summary>
    /// <returns>A new tensor; the caller's scope owns it.</returns>
    public Tensor Divide(TrainedTensor tensor, Tensor squares, Tensor numbers, double keep)
    {
        using var scope = NewDisposeScope();
        if (!IsFactored(tensor))
        {
            var moment = whole!.narrow(0, places[tensor].Row, tensor.Length).view([.. tensor.Shape]);
            moment.mul_(keep).add_(squares, 1 - keep);
            return moment.rsqrt().mul_(numbers).MoveToOuterDisposeScope();
        }
        var (row, column) = Of(tensor);
        row.mul_(keep).add_(squares.mean([-1]), 1 - keep);
        column.mul_(keep).add_(squares.mean([-2]), 1 - keep);
        return (numbers * row.div(row.mean([-1], keepdim: true)).rsqrt_().unsqueeze(-1)).mul_(column.rsqrt().unsqueeze(-2)).MoveToOuterDisposeScope();
    }

    /// <summary>As <see cref="Divide"/> in torch's way: a share of the numbers' squares enters, and neither the rows' mean nor the moment's root counts as less than a floor.</summary>
    /// <returns>A new tensor; the caller's scope owns it.</returns>
    public Tensor DivideAbove(TrainedTensor tensor, Tensor numbers, double enters, double floor)
    {
        using var scope = NewDisposeScope();
        var squares = numbers.square();
        Tensor moment;
        if (!IsFactored(tensor))
        {
            var kept = whole!.narrow(0, places[tensor].Row, tensor.Length).view([.. tensor.Shape]);
            moment = kept.mul_(1 - enters).add_(squares, enters).clone();
        }
        else
        {
            var (row, column) = Of(tensor);
            row.mul_(1 - enters).add_(squares.mean([-1]), enters);
            column.mul_(1 - enters).add_(squares.mean([-2]), enters);
            moment = (row.unsqueeze(-1) * column.unsqueeze(-2)).div_(row.mean([-1], keepdim: true).clamp_min_(floor).unsqueeze(-1));
        }
        return moment.clamp_min_(floor * floor).rsqrt_().mul_(numbers).MoveToOuterDisposeScope();
    }

    private (Tensor Row, Tensor Column) Of(TrainedTensor tensor)
    {
        var (row, column) = places[tensor];
        var outer = tensor.Shape.Take(tensor.Shape.Count - 2).ToList();
        return (rows.narrow(0, row, tensor.Length / tensor.Shape[^1]).view([.. outer, tensor.Shape[^2]]),
            columns.narrow(0, column, tensor.Length / tensor.Shape[^2]).view([.. outer, tensor.Shape[^1]]));
    }
}
