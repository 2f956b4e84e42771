namespace Levain.Training;

/// <summary>Several batches for one update.</summary>
public static class Accumulation
{
    /// <summary>Whether an update follows a batch. The last batch of an epoch always ends one, however few came before it.</summary>
    /// <remarks>huggingface/accelerate 1.6.0, <c>Accelerator._do_sync</c>: the count starts again with every epoch.</remarks>
    /// <param name="batch">Index of the batch in its epoch.</param>
    /// <param name="batches">Batches of the epoch.</param>
    /// <param name="accumulation">Batches of an update.</param>
    public static bool Updates(int batch, int batches, int accumulation) => (batch + 1) % accumulation == 0 || batch + 1 == batches;
}
