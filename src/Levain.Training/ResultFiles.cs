using Levain.Training.Planning;

namespace Levain.Training;

/// <summary>Writes a run's files when they are due and removes those they replace.</summary>
/// <param name="writer">Knows what is in them; disposed with this object.</param>
/// <param name="events">Told of each.</param>
internal sealed class ResultFiles(IResultWriter writer, IProgress<RunEvent>? events) : IDisposable
{
    /// <summary>Writes a file and removes the one it replaces.</summary>
    /// <param name="save">Which file.</param>
    /// <param name="step">Steps made.</param>
    /// <param name="epoch">The epoch it belongs to, from 1.</param>
    /// <returns>The file.</returns>
    /// <exception cref="RunException">It cannot be written.</exception>
    public string Save(NetworkSave save, int step, int epoch)
    {
        try
        {
            writer.Write(save, step, epoch);
            events?.Report(new NetworkSaved(save.Path, save.Reason is SaveReason.Final));
            if (save.Replaces is { } old && old != save.Path)
            {
                if (Directory.Exists(old)) Directory.Delete(old, recursive: true);
                else File.Delete(old);
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RunException($"{save.Path} cannot be written: {failure.Message} Make room or choose another output.folder, then go on with --resume.", failure);
        }
        return save.Path;
    }

    /// <inheritdoc/>
    public void Dispose() => writer.Dispose();
}
