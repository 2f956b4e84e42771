using System.CommandLine;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Cli;

/// <summary>The words of commands that take a run file: the file, and <c>--set</c>.</summary>
internal sealed class RunFileArguments
{
    /// <summary>The run file.</summary>
    public Argument<FileInfo?> File { get; } = new("RUN.toml") { Description = "The run file.", Arity = ArgumentArity.ZeroOrOne };

    /// <summary>Settings that go before the file's.</summary>
    public Option<string[]> Set { get; } = new("--set") { Description = "A setting that goes before the file's, as network.rank=8. May be repeated.", AllowMultipleArgumentsPerToken = false };

    /// <summary>Settings that hold where the file says nothing.</summary>
    public Option<string?> Preset { get; } = new("--preset") { Description = "One of the guide's presets: it holds where the run file says nothing. levain presets lists them.", HelpName = "NAME" };

    /// <summary>Goes on without broken pictures.</summary>
    public Option<bool> SkipBroken { get; } = new("--skip-broken") { Description = "Go on without pictures that cannot be read." };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        command.Arguments.Add(File);
        command.Options.Add(Set);
        command.Options.Add(Preset);
        command.Options.Add(SkipBroken);
        return command;
    }

    /// <summary>Reads the run file; a missing seed is drawn here, at the edge.</summary>
    /// <param name="written">A run file that was just written; null for the one that is named.</param>
    /// <param name="seed">The seed of an earlier start of the run; null, or null from it, draws one.</param>
    /// <exception cref="SettingsException">No file was named, or it is not there.</exception>
    public (RunSettings Settings, Problems Problems) Read(ParseResult given, FileInfo? written = null, Func<RunSettings, long?>? seed = null)
    {
        var problems = new Problems();
        var file = written ?? given.GetValue(File);
        if (file is null) problems.Add("RUN.toml", "is not named.", "Name a run file; levain train --from-folder PICTURES --base MODEL writes one.");
        else if (!System.IO.File.Exists(file.FullName)) problems.Add(file.ToString(), "is not there.", "Name a run file; levain train --from-folder PICTURES --base MODEL writes one.");
        problems.ThrowIfAny();
        var start = given.GetValue(Preset) is { } preset ? Commands.PresetsCommand.Find(preset).Settings : new();
        var (settings, found) = RunSettings.ReadUpon(start, file!.FullName, given.GetValue(Set) ?? []);
        return (settings.Seeded(seed?.Invoke(settings) ?? Random.Shared.NextInt64(uint.MaxValue + 1L)), found);
    }
}
