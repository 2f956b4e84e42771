using Levain.Data;

namespace Levain.Training;

/// <summary>Looks closely at every batch of a run.</summary>
internal interface IBatchObserver
{
    /// <summary>A batch is about to be trained on; nothing of its step is drawn yet.</summary>
    void Begins(RunRandom random, Batch batch);

    /// <summary>The batch's latents are there; noise is drawn next.</summary>
    void Encoded(RunRandom random) { }

    /// <summary>The batch is done.</summary>
    /// <param name="gradientNorm">Length of the gradient before clipping; null where no update followed.</param>
    void Ends(IReadOnlyList<int> timesteps, double loss, double? gradientNorm);

    /// <summary>A batch that is set aside is about to be judged at a timestep.</summary>
    void Judges(RunRandom random, Batch batch, int timestep) { }

    /// <summary>It is judged.</summary>
    void Judged(double loss) { }
}
