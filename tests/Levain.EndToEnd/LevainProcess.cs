using System.Diagnostics;
using System.Text;

namespace Levain.EndToEnd;

/// <summary>The real program as a process.</summary>
internal static class LevainProcess
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

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

    private Running(Process process) => this.process = process;

    /// <summary>Process id.</summary>
    public int Id => process.Id;

    /// <summary>Whether it ended.</summary>
    public bool HasExited => process.HasExited;

    public static Running Start(string program, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        var running = new Running(new() { StartInfo = start });
        running.process.OutputDataReceived += (_, line) => Add(running.output, line.Data);
        running.process.ErrorDataReceived += (_, line) => Add(running.error, line.Data);
        running.process.Start();
        running.process.BeginOutputReadLine();
        running.process.BeginErrorReadLine();
        return running;
    }

    /// <summary>kill -9: the process gets no chance to tidy up.</summary>
    public void Kill() => process.Kill();

    /// <summary>Waits until standard error holds <paramref name="words"/>; false where the process ended or the time passed first.</summary>
    public bool WaitForNote(string words, TimeSpan patience)
    {
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < patience)
        {
            lock (error)
                if (error.ToString().Contains(words, StringComparison.Ordinal)) return true;
            if (process.WaitForExit(5)) { process.WaitForExit(); lock (error) return error.ToString().Contains(words, StringComparison.Ordinal); }
        }
        return false;
    }

    public Outcome Wait(TimeSpan patience)
    {
        if (!process.WaitForExit(patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} did not end within {patience}.\n{error}");
        }
        process.WaitForExit(); // the streams too
        return new(process.ExitCode, output.ToString(), error.ToString());
    }

    public void Dispose()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        process.Dispose();
    }

    private static void Add(StringBuilder text, string? line)
    {
        if (line is null) return;
        lock (text) text.AppendLine(line);
    }
}
