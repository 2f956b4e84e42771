using System.Diagnostics;
using System.Text;

namespace Levain.EndToEnd;

/// <summary>The real program as a process.</summary>
internal static class LevainProcess
{
    // Nothing is measured here: only a program that hangs is given up.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    /// <summary>The built program beside these tests.</summary>
    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "levain.exe" : "levain");

    /// <summary>Starts the program in <paramref name="folder"/>.</summary>
    public static Running Start(string folder, params string[] arguments) => Running.Start(Path, folder, arguments);

    /// <summary>Runs the program to its end.</summary>
    public static Outcome Run(string folder, params string[] arguments)
    {
        using var running = Start(folder, arguments);
        return running.Wait(Patience);
    }
}

/// <summary>What a finished process left behind.</summary>
internal sealed record Outcome(int Code, string Output, string Error)
{
    /// <summary>Everything, for a failed assertion's message.</summary>
    public override string ToString() => $"exit {Code}\n--- standard output\n{Output}\n--- standard error\n{Error}";
}

/// <summary>A process whose two streams are collected while it runs.</summary>
internal sealed class Running : IDisposable
{
    private readonly Process process;
    private readonly StringBuilder output = new(), error = new();
    private Thread[] readers = [];

    private Running(Process process) => this.process = process;

    /// <summary>Process id.</summary>
    public int Id => process.Id;

    /// <summary>Whether it ended.</summary>
    public bool HasExited => process.HasExited;

    public static Running Start(string program, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        var running = new Running(new() { StartInfo = start });
        running.process.Start();
        running.readers = [Read(running.process.StandardOutput, running.output), Read(running.process.StandardError, running.error)];
        return running;
    }

    /// <summary>kill -9: the process gets no chance to tidy up.</summary>
    public void Kill() => process.Kill();

    /// <summary>Waits until standard error holds <paramref name="words"/>; false where the process ended or the time passed first.</summary>
    public bool WaitForNote(string words, TimeSpan patience)
    {
        var clock = Stopwatch.StartNew();
        lock (error)
        {
            while (!error.ToString().Contains(words, StringComparison.Ordinal))
            {
                var left = patience - clock.Elapsed;
                if (left <= TimeSpan.Zero || !readers[^1].IsAlive || !Monitor.Wait(error, left)) return error.ToString().Contains(words, StringComparison.Ordinal);
            }
            return true;
        }
    }

    public Outcome Wait(TimeSpan patience)
    {
        if (!process.WaitForExit(patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} did not end within {patience}.\n{error}");
        }
        foreach (var reader in readers) reader.Join();
        return new(process.ExitCode, output.ToString(), error.ToString());
    }

    public void Dispose()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        process.Dispose();
    }

    // Threads of their own: the pool's are busy with tests that wait.
    private static Thread Read(StreamReader stream, StringBuilder text)
    {
        var reader = new Thread(() =>
        {
            while (stream.ReadLine() is { } line)
                lock (text)
                {
                    text.AppendLine(line);
                    Monitor.PulseAll(text);
                }
            lock (text) Monitor.PulseAll(text);
        })
        { IsBackground = true };
        reader.Start();
        return reader;
    }
}
