namespace Levain.Training.Planning;

/// <summary>How long a run is.</summary>
/// <param name="BatchesPerEpoch">Batches of one epoch, the last of each bucket perhaps smaller.</param>
/// <param name="StepsPerEpoch">Optimizer steps of one epoch; the last may see fewer batches.</param>
/// <param name="Steps">Optimizer steps of the run.</param>
/// <param name="Epochs">Epochs of the run; the last may be cut short.</param>
/// <remarks>kohya's arithmetic, K-43 included: with neither steps nor epochs given it is 1600 steps, whatever accumulation makes of them.</remarks>
public sealed record RunLength(int BatchesPerEpoch, int StepsPerEpoch, int Steps, int Epochs)
{
    /// <summary>Optimizer steps among the first <paramref name="batches"/> batches of the run.</summary>
    public int StepsWithin(int batches, int accumulation) => batches / BatchesPerEpoch * StepsPerEpoch + batches % BatchesPerEpoch / accumulation;

    /// <summary>The length of a run over <paramref name="batches"/> batches an epoch.</summary>
    public static RunLength Of(int batches, Settings.TrainingSettings training)
    {
        var perEpoch = Math.Max(1, (batches + training.GradientAccumulation - 1) / training.GradientAccumulation);
        var steps = training.Epochs is { } epochs ? (int)Math.Min(int.MaxValue, (long)epochs * perEpoch) : training.Steps ?? Settings.TrainingSettings.DefaultSteps;
        return new(batches, perEpoch, steps, (int)(((long)steps + perEpoch - 1) / perEpoch));
    }
}
