using Levain.Models;

namespace Levain.Cli.Bench;

/// <summary>Watches how many pages of its own the process has. The kernel's high-water mark counts mapped files too, which the model's file is.</summary>
internal sealed class PrivatePeak : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);
    private readonly ManualResetEventSlim over = new();
    private readonly Thread watching;
    private long bytes;

    /// <summary>Begins to watch.</summary>
    public PrivatePeak()
    {
        watching = new(Watch) { IsBackground = true };
        watching.Start();
    }

    /// <summary>The most so far, bytes; 0 where the system does not tell.</summary>
    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>Begins anew.</summary>
    public void Forget() => Interlocked.Exchange(ref bytes, 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        over.Set();
        watching.Join();
        over.Dispose();
    }

    private void Watch()
    {
        do
        {
            if (SystemMemory.Private is { } now) Interlocked.Exchange(ref bytes, Math.Max(bytes, now.Now));
        }
        while (!over.Wait(Pause));
    }
}
