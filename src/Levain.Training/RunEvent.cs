namespace Levain.Training;

/// <summary>Something that happened in a run. Console, JSON lines, TensorBoard and tests are listeners (<see cref="IProgress{T}"/>).</summary>
public abstract record RunEvent;

/// <summary>Work before the first step: indexing, checking, caching latents.</summary>
/// <param name="Phase">What is done, in the user's words: <c>caching latents</c>.</param>
/// <param name="Done">Items finished.</param>
/// <param name="Total">Items in all.</param>
public sealed record Preparing(string Phase, int Done, int Total) : RunEvent;

/// <summary>One batch has been trained on; with gradient accumulation several make one optimizer step.</summary>
/// <param name="Step">Steps made so far; 0 before the first is complete.</param>
/// <param name="Steps">Steps of the whole run.</param>
/// <param name="Epoch">Epoch, from 1.</param>
/// <param name="Epochs">Epochs of the whole run.</param>
/// <param name="Loss">Loss of the batch.</param>
/// <param name="AverageLoss">Mean loss over the last epoch's worth of batches (<c>loss/average</c>).</param>
/// <param name="Scalars">What is logged at this step under kohya's tag names (<c>loss/current</c>, <c>lr/unet</c> …), in logging order.</param>
public sealed record StepDone(int Step, int Steps, int Epoch, int Epochs, double Loss, double AverageLoss,
    IReadOnlyList<KeyValuePair<string, double>> Scalars) : RunEvent
{
    /// <summary>Whether this batch completed a step; false while gradients are still being added up.</summary>
    public bool Updated { get; init; } = true;
}

/// <summary>An epoch is over.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="Scalars">What is logged with the epoch as x (<c>loss/epoch_average</c>).</param>
public sealed record EpochDone(int Epoch, IReadOnlyList<KeyValuePair<string, double>> Scalars) : RunEvent;

/// <summary>The network was judged by pictures that are set aside.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Epoch">The epoch that is over, where it was judged for one; else null.</param>
/// <param name="Loss">Mean loss over those pictures, always with the same noise.</param>
/// <param name="Best">Whether it is the lowest so far.</param>
/// <param name="Scalars">What is logged (<c>loss/validation/epoch_average</c> …), with the epoch or else the step as x.</param>
public sealed record Validated(int Step, int? Epoch, double Loss, bool Best, IReadOnlyList<KeyValuePair<string, double>> Scalars) : RunEvent;

/// <summary>A network file was written.</summary>
/// <param name="Path">The file.</param>
/// <param name="Final">Whether it is the run's result.</param>
public sealed record NetworkSaved(string Path, bool Final) : RunEvent;

/// <summary>A snapshot to resume from was written.</summary>
/// <param name="Path">The snapshot's folder.</param>
/// <param name="Step">Steps made in it.</param>
public sealed record SnapshotSaved(string Path, int Step) : RunEvent;

/// <summary>A sample picture was drawn.</summary>
/// <param name="Path">The picture.</param>
/// <param name="Step">Steps made when it was drawn.</param>
public sealed record PictureDrawn(string Path, int Step) : RunEvent;

/// <summary>Something the user should know, in one sentence; the run goes on.</summary>
public sealed record RunWarned(string Message) : RunEvent;
