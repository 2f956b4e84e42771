namespace Levain.Cli.Doctor;

/// <summary>Everything <c>levain doctor</c> looks at, in the order it is told.</summary>
internal static class Findings
{
    /// <param name="folder">Folder whose disk is looked at.</param>
    /// <param name="note">Receives a line before something that takes a while.</param>
    /// <param name="stop">Ends the examination between two findings.</param>
    public static IEnumerable<Finding> All(DirectoryInfo folder, Action<string> note, CancellationToken stop)
    {
        yield return Machine.System();
        yield return Machine.Processor();
        yield return Machine.Memory();
        yield return Machine.Disk(folder);
        foreach (var library in Libraries.All) yield return library;
        var engine = EngineRoom.Loads();
        yield return engine;
        if (engine.Blocks) yield break;
        stop.ThrowIfCancellationRequested();
        yield return EngineRoom.Gpu();
        note("Measuring arithmetic, about two seconds …");
        foreach (var rate in EngineRoom.Rates()) yield return rate;
    }
}
