using System.Runtime.CompilerServices;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>The same in the processor's memory: rows one after another, matrices shared among threads.</summary>
internal sealed unsafe partial class FactoredMoment
{
    // Rows this short or long are left to tensor operations. So many rows are added up in fp32 before they join a column's sum.
    private const int ShortRow = 16, LongRow = 1 << 16, RowsAtOnce = 128;

    /// <summary>Whether <see cref="TakeIn"/> can treat a tensor of these parameters.</summary>
    public static bool IsFused(TrainedParameters parameters, TrainedTensor tensor) =>
        parameters is { Fused: true, Values.dtype: ScalarType.Float32 } && IsFactored(tensor) && tensor.Shape[^1] is >= ShortRow and <= LongRow;

    /// <summary>Runs something for each of many tensors, on all threads.</summary>
    public static void ForEach(IReadOnlyList<TrainedTensor> tensors, Action<TrainedTensor> work)
    {
        if (tensors.Count <= 1)
            foreach (var tensor in tensors) work(tensor);
        else Parallel.ForEach(tensors, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, work);
    }

    /// <summary>Takes in the squares of numbers, of which a share of 1 − <paramref name="keep"/> enters.</summary>
    /// <param name="tensor">Whose moment it is.</param>
    /// <param name="numbers">The numbers, as many as the tensor has.</param>
    /// <param name="floor">Added to each square.</param>
    /// <param name="keep">Share of the old moment that stays.</param>
    public Rows TakeIn(TrainedTensor tensor, float* numbers, double floor, double keep)
    {
        var (height, width) = ((int)tensor.Shape[^2], (int)tensor.Shape[^1]);
        var (matrices, area) = ((int)(tensor.Length / height / width), height * width);
        var (byRow, byColumn) = (new float[matrices * height], new float[matrices * width]);
        var (row, column) = places[tensor];
        var rowMoment = (float*)ElementLoop.Address<float>(rows) + row;
        var columnMoment = (float*)ElementLoop.Address<float>(columns) + column;
        var partial = stackalloc float[width];
        Span<double> sum = stackalloc double[3];
        for (var matrix = 0; matrix < matrices; matrix++)
        {
            var sums = byColumn.AsSpan(matrix * width, width);
            for (var from = 0; from < height; from += RowsAtOnce)
            {
                new Span<float>(partial, width).Clear();
                for (var i = from; i < Math.Min(height, from + RowsAtOnce); i++)
                {
                    sum.Clear();
                    ElementLoop.Go(new SumUp(floor), null, numbers + matrix * (long)area + i * (long)width, partial, null, null, null, null, width, sum);
                    byRow[matrix * height + i] = (float)sum[0];
                }
                for (var j = 0; j < width; j++) sums[j] += partial[j];
            }
        }
        for (var i = 0; i < byRow.Length; i++) rowMoment[i] = rowMoment[i] * (float)keep + byRow[i] / width * (float)(1 - keep);
        for (var j = 0; j < byColumn.Length; j++)
        {
            columnMoment[j] = columnMoment[j] * (float)keep + byColumn[j] / height * (float)(1 - keep);
            byColumn[j] = 1 / MathF.Sqrt(columnMoment[j]);
        }
        for (var matrix = 0; matrix < matrices; matrix++)
        {
            var mean = 0.0;
            for (var i = 0; i < height; i++) mean += rowMoment[matrix * height + i];
            mean /= height;
            for (var i = 0; i < height; i++) byRow[matrix * height + i] = 1 / MathF.Sqrt(rowMoment[matrix * height + i] / (float)mean);
        }
        return new(byRow, byColumn, width, height);
    }

    /// <summary>What stands for the division by a moment's root: a factor for each row, and one for each column.</summary>
    internal readonly struct Rows(float[] byRow, float[] byColumn, int width, int height)
    {
        /// <summary>Runs a rule row by row. Slot A holds the columns' factors.</summary>
        /// <param name="make">The rule for a row, of the row's factor.</param>
        /// <param name="p">Parameters.</param>
        /// <param name="g">Gradients.</param>
        /// <param name="b">Slot B; may be null.</param>
        /// <returns>The rule's first sum.</returns>
        public double Run<R>(Func<float, R> make, float* p, float* g, float* b) where R : struct, IElementRule
        {
            Span<double> sums = stackalloc double[3];
            sums.Clear();
            fixed (float* columns = byColumn)
                for (var row = 0; row < byRow.Length; row++)
                {
                    var at = row * (long)width;
                    ElementLoop.Go(make(byRow[row]), p + at, g + at, columns + row / height * (long)width, b + at, null, null, null, width, sums);
                }
            return sums[0];
        }
    }

    // Slot A gathers the columns, the first sum the row.
    private readonly struct SumUp(double floor) : IElementRule
    {
        public static Streams Reads => Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.A | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.Sum1 = x.G * x.G + floor;
            x.A = x.A + x.Sum1;
        }
    }
}
