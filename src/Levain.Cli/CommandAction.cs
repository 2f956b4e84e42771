using System.CommandLine;
using System.Runtime.InteropServices;
using Levain.Core;
using Levain.Models;
using Levain.Training;

namespace Levain.Cli;

/// <summary>What a command does once its words are parsed.</summary>
/// <param name="given">The parsed command line.</param>
/// <param name="screen">Where to print.</param>
/// <param name="stop">Raised by Ctrl+C and SIGTERM: save, say how to go on, and throw <see cref="OperationCanceledException"/> or return.</param>
/// <returns>An <see cref="ExitCode"/>.</returns>
internal delegate int CommandBody(ParseResult given, Screen screen, CancellationToken stop);

/// <summary>Runs command bodies: Ctrl+C, and exceptions told as messages.</summary>
internal static class CommandAction
{
    /// <summary>Lets <paramref name="command"/> run <paramref name="body"/> with the manners every command shares.</summary>
    public static Command Runs(this Command command, CommandBody body)
    {
        command.SetAction(given => Run(given, body));
        return command;
    }

    private static int Run(ParseResult given, CommandBody body)
    {
        var screen = Screen.For(given);
        using var stop = new CancellationTokenSource();
        void Ask(PosixSignalContext context)
        {
            if (stop.IsCancellationRequested) return;      // the second Ctrl+C ends the process at once
            context.Cancel = true;
            screen.Note("Stopping after this step … (Ctrl+C again stops at once, without saving)");
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
        try
        {
            return body(given, screen, stop.Token);
        }
        catch (Exception exception) when (Explain(exception) is { } told)
        {
            if (told.Code != ExitCode.Cancelled) screen.Fail(told.Messages);
            return told.Code;
        }
    }

    /// <summary>Messages and exit code of a failure the user can mend; null for a bug, which keeps its stack trace.</summary>
    internal static (int Code, IReadOnlyList<string> Messages)? Explain(Exception exception) => exception switch
    {
        SettingsException settings => (ExitCode.Settings, [.. settings.Problems.Select(problem => problem.ToString())]),
        CheckpointException or DatasetException or EngineException or RunException => (ExitCode.Failed, [exception.Message]),
        OperationCanceledException => (ExitCode.Cancelled, []),
        _ when EngineFailure.Explain(exception) is { } advice => (ExitCode.Failed, [advice]),
        IOException or UnauthorizedAccessException => (ExitCode.Failed, [FileFailure.Explain(exception)]),
        AggregateException { InnerExceptions: [var only] } => Explain(only),
        _ => null,
    };
}
