namespace Levain.Training.Watching;

/// <summary>Passes every event on to several listeners, in order, and disposes of those that can be.</summary>
public sealed class Listeners(params IReadOnlyList<IProgress<RunEvent>> all) : IProgress<RunEvent>, IDisposable
{
    /// <inheritdoc/>
    public void Report(RunEvent value)
    {
        foreach (var listener in all) listener.Report(value);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var listener in all) (listener as IDisposable)?.Dispose();
    }
}
