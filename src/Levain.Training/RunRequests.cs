namespace Levain.Training;

/// <summary>What is asked of a run while it goes; any thread may ask. A run looks at it between two steps.</summary>
public sealed class RunRequests : IDisposable
{
    private readonly ManualResetEventSlim going = new(initialState: true);
    private int snapshot, picture, stop;

    /// <summary>Whether the run is asked to stand still.</summary>
    public bool IsPaused => !going.IsSet;

    /// <summary>Asks the run to stand still before its next step.</summary>
    public void Pause() => going.Reset();

    /// <summary>Lets a paused run go on.</summary>
    public void Continue() => going.Set();

    /// <summary>Asks for a snapshot after the step that is being made.</summary>
    public void Snapshot() => Interlocked.Exchange(ref snapshot, 1);

    /// <summary>Asks for the sample pictures after the step that is being made.</summary>
    public void Draw() => Interlocked.Exchange(ref picture, 1);

    /// <summary>Asks the run to write a snapshot and end after the step that is being made.</summary>
    public void Stop()
    {
        Interlocked.Exchange(ref stop, 1);
        going.Set();
    }

    /// <inheritdoc/>
    public void Dispose() => going.Dispose();

    internal bool IsStopped => Volatile.Read(ref stop) == 1;

    internal bool TakeSnapshot() => Interlocked.Exchange(ref snapshot, 0) == 1;

    internal bool TakeDraw() => Interlocked.Exchange(ref picture, 0) == 1;

    internal void WaitWhilePaused(CancellationToken cancel) => going.Wait(cancel);
}
