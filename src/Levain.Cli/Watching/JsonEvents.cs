using Levain.Training;
using Levain.Training.Watching;

namespace Levain.Cli.Watching;

/// <summary>Each event as one line of JSON on standard error, for a program that watches.</summary>
internal sealed class JsonEvents(TimeProvider clock) : IProgress<RunEvent>
{
    public void Report(RunEvent value) => Console.Error.WriteLine(RunEventJson.ToJson(value, clock.GetUtcNow()));
}
