using Levain.Core;

namespace Levain.Training.Kohya;

/// <summary>A call of one of kohya's trainers, as it is typed: the program, and the words behind it.</summary>
/// <param name="Trainer">File name of the program.</param>
/// <param name="Arguments">The words behind it, untouched.</param>
/// <param name="Launcher">What stood before it: <c>accelerate launch …</c>, <c>python</c>; empty for nothing.</param>
public sealed record KohyaCall(string Trainer, IReadOnlyList<string> Arguments, IReadOnlyList<string> Launcher)
{
    private const string Script = ".py";

    private static readonly string[] Launchers = ["accelerate", "python", "python3", "py"];

    /// <summary>Takes a command line apart: <c>train_network …</c>, <c>train_network.py …</c>, <c>accelerate launch --num_cpu_threads_per_process 8 ./train_network.py …</c>.</summary>
    /// <exception cref="SettingsException">It names no program.</exception>
    public static KohyaCall Read(IReadOnlyList<string> words)
    {
        var at = words is [var first, ..] && Launchers.Contains(Path.GetFileNameWithoutExtension(first))
            ? Enumerable.Range(1, words.Count - 1).FirstOrDefault(i => words[i].EndsWith(Script, StringComparison.OrdinalIgnoreCase) || KohyaTrainerNames.Find(words[i]) is not KohyaTrainers.None, -1) : 0;
        var known = string.Join(", ", KohyaTrainerNames.All.Values.Select(name => name[..^Script.Length]));
        if (at < 0 || words.Count == 0) throw new SettingsException([new("TRAINER", "is not named.", $"Name one of {known}, then its options as for kohya.")]);
        var name = words[at];
        if (name.StartsWith('-')) throw new SettingsException([new(name, "stands where the trainer's name belongs.", $"Begin with one of {known}.")]);
        var trainer = KohyaTrainerNames.Find(name);
        return new(trainer is KohyaTrainers.None ? Path.GetFileName(name) : trainer.FileName(), [.. words.Skip(at + 1)], [.. words.Take(at)]);
    }
}
