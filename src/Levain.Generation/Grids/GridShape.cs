namespace Levain.Generation;

/// <summary>Rows and columns of pictures that are put side by side without axes.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>images.image_grid</c>.</remarks>
public readonly record struct GridShape(int Rows, int Columns)
{
    /// <summary>A shape for a number of pictures.</summary>
    /// <param name="count">Pictures, at least 1.</param>
    /// <param name="rows">Rows wanted; 0 for the size of a batch, below 0 for about as many as columns.</param>
    /// <param name="batch">Size of a batch.</param>
    /// <param name="full">Whether no place may stay empty.</param>
    public static GridShape Of(int count, int rows = -1, int batch = 1, bool full = false)
    {
        if (rows == 0) rows = batch;
        else if (rows < 0 && full)
        {
            rows = (int)Math.Floor(Math.Sqrt(count));
            while (count % rows != 0) rows--;
        }
        else if (rows < 0) rows = (int)Math.Round(Math.Sqrt(count), MidpointRounding.ToEven);
        rows = Math.Clamp(rows, 1, Math.Max(count, 1));
        return new(rows, (count + rows - 1) / rows);
    }
}
