using Levain.Core;
using Levain.Generation;
using Levain.Training.Planning;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>
/// What a run trains: a network on the base, the base itself, a word, a hypernetwork. All its values lie in one flat fp32 buffer with a gradient of the same
/// length, which optimizers and snapshots work on; the rest is what differs: rates, logs, files.
/// </summary>
internal abstract class Trained : IDisposable
{
    /// <summary>All values, fp32, one dimension; those that are trained come first.</summary>
    public abstract Tensor Values { get; }

    /// <summary>Gradients of <see cref="Values"/>, element for element.</summary>
    public abstract Tensor Gradients { get; }

    /// <summary>How many elements of <see cref="Values"/>, from the first, are trained.</summary>
    public abstract long TrainedLength { get; }

    /// <summary>Slices that share a learning rate, in kohya's order.</summary>
    public abstract IReadOnlyList<RateGroup> Groups { get; }

    /// <summary>Whether passes are training steps: gradients are collected and dropouts drawn. Off for previews and validation.</summary>
    public abstract bool Training { set; }

    /// <summary>Says that what follows is judged with this generator, until <see cref="Training"/> is set.</summary>
    public virtual void JudgeWith(PythonRandom python) { }

    /// <summary>Whether a caption's states can differ from step to step.</summary>
    public abstract bool StatesChange { get; }

    /// <summary>Whether passes draw random numbers in the layers: dropouts, and the ranks of a DyLoRA. Default false.</summary>
    public virtual bool Draws => false;

    /// <summary>Words of captions that are no words of the tokenizer, with the ids of their vectors. Default none.</summary>
    public virtual IReadOnlyDictionary<string, int>? Words => null;

    /// <summary>The trained word as it is now, for prompts of previews; null: none is trained. The caller disposes it.</summary>
    public virtual TextualInversion? Word => null;

    /// <summary>Says that a batch is about to be trained on.</summary>
    /// <param name="step">Updates made.</param>
    public virtual void Begin(int step) { }

    /// <summary>Says where in time the batch's pictures are.</summary>
    public virtual void At(IReadOnlyList<int> timesteps) { }

    /// <summary>Brings the gradients of a backward pass into <see cref="Gradients"/>, where they are not collected there at once.</summary>
    public virtual void Gather() { }

    /// <summary>Says that <see cref="Values"/> were written to.</summary>
    public abstract void Forget();

    /// <summary>Says that a new gradient begins: nothing has been reached by it.</summary>
    public virtual void ForgetReached() { }

    /// <summary>Limits weight norms where the run asks for it; called after every batch.</summary>
    /// <param name="updated">Whether the batch was followed by an update.</param>
    /// <returns>How many were scaled, and mean and largest norm afterwards; null: nothing is limited.</returns>
    public virtual (int Scaled, double Mean, double Max)? LimitNorms(bool updated) => null;

    /// <summary>What is logged of a batch, under kohya's tag names and in its order.</summary>
    /// <param name="loss">Loss of the batch.</param>
    /// <param name="average">Mean over an epoch's worth of batches.</param>
    /// <param name="norms">What <see cref="LimitNorms"/> gave.</param>
    /// <param name="rates">Rate of each group.</param>
    public abstract IReadOnlyList<KeyValuePair<string, double>> StepScalars(double loss, double average, (int Scaled, double Mean, double Max)? norms, IReadOnlyList<GroupRate> rates);

    /// <summary>What is logged of an epoch.</summary>
    /// <param name="average">Mean over an epoch's worth of batches.</param>
    /// <param name="epochSum">Sum over the batches of this epoch.</param>
    /// <param name="batches">Batches of a whole epoch.</param>
    public abstract IReadOnlyList<KeyValuePair<string, double>> EpochScalars(double average, double epochSum, int batches);

    /// <summary>Who writes its files.</summary>
    /// <param name="identity">What the run is known by.</param>
    /// <param name="options">The time and the hashes for their metadata.</param>
    public abstract IResultWriter Writer(RunPlan plan, Func<RunIdentity> identity, RunOptions options);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>Tensors that share a learning rate: one slice of the flat buffers.</summary>
/// <param name="Name">As kohya logs it, without its <c>lr/</c>.</param>
/// <param name="Rate">Learning rate before any schedule.</param>
/// <param name="Start">First element.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="Tensors">The tensors in it, in order.</param>
internal sealed record RateGroup(string Name, double Rate, long Start, long Length, IReadOnlyList<RateTensor> Tensors);

/// <summary>One tensor of a <see cref="RateGroup"/>.</summary>
/// <param name="Start">First element in the flat buffers.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="IsReached">Whether a recorded pass has gone through it since the last update; null: every pass does.</param>
internal sealed record RateTensor(long Start, IReadOnlyList<long> Shape, Func<bool>? IsReached = null)
{
    /// <summary>Whether a recorded pass has gone through it since the last update: torch's optimizers leave others alone.</summary>
    public bool Reached => IsReached?.Invoke() ?? true;
}

/// <summary>Writes the files of a run's result.</summary>
internal interface IResultWriter : IDisposable
{
    /// <summary>Writes one file, or folder, whole or not at all.</summary>
    /// <param name="save">Which.</param>
    /// <param name="step">Steps made.</param>
    /// <param name="epoch">The epoch it belongs to, from 1.</param>
    void Write(NetworkSave save, int step, int epoch);
}
