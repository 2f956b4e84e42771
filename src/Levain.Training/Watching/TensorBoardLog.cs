using System.Globalization;

namespace Levain.Training.Watching;

/// <summary>Writes a run's curves and sample pictures where TensorBoard finds them, under kohya's tag names and folder: <c>FOLDER/PREFIXyyyyMMddHHmmss/TRACKER</c>.</summary>
public sealed class TensorBoardLog : IProgress<RunEvent>, IDisposable
{
    private const string TimeFormat = "yyyyMMddHHmmss";
    private readonly TimeProvider clock;
    private readonly EventFile file;

    private TensorBoardLog(EventFile file, TimeProvider clock) => (this.file, this.clock) = (file, clock);

    /// <summary>The event file.</summary>
    public string Path => file.Path;

    /// <summary>Starts a log.</summary>
    /// <param name="folder">The logging folder, which TensorBoard is pointed at.</param>
    /// <param name="prefix">Put before the time in the run's folder name; may be empty.</param>
    /// <param name="tracker">Name of the folder in it.</param>
    public static TensorBoardLog Create(string folder, string prefix, string tracker, TimeProvider clock)
    {
        var run = prefix + clock.GetLocalNow().ToString(TimeFormat, CultureInfo.InvariantCulture);
        return new(EventFile.Create(System.IO.Path.Combine(folder, run, tracker), clock.GetUtcNow()), clock);
    }

    /// <summary>Goes on with the newest log of <paramref name="folder"/> as it was after <paramref name="lastStep"/>; starts one where there is none.</summary>
    public static TensorBoardLog Resume(string folder, string prefix, string tracker, int lastStep, TimeProvider clock)
    {
        var newest = !Directory.Exists(folder) ? null
            : Directory.EnumerateDirectories(folder, prefix + new string('?', TimeFormat.Length)).Order(StringComparer.Ordinal)
                .SelectMany(run => Files(System.IO.Path.Combine(run, tracker))).LastOrDefault();
        return newest is null ? Create(folder, prefix, tracker, clock) : new(EventFile.Reopen(newest, lastStep), clock);
    }

    /// <inheritdoc/>
    public void Report(RunEvent value)
    {
        var now = clock.GetUtcNow();
        switch (value)
        {
            case StepDone step:
                foreach (var (tag, number) in step.Scalars) file.Scalar(tag, number, step.Step, now);
                break;
            case EpochDone epoch:
                foreach (var (tag, number) in epoch.Scalars) file.Scalar(tag, number, epoch.Epoch, now);
                break;
            case Validated judged:
                foreach (var (tag, number) in judged.Scalars) file.Scalar(tag, number, judged.Epoch ?? judged.Step, now);
                break;
            case PictureDrawn picture when PngHeader.Read(picture.Path) is { } png:
                file.Picture("sample", File.ReadAllBytes(picture.Path), png.Width, png.Height, picture.Step, now);
                break;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private static IEnumerable<string> Files(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "events.out.tfevents.*").Order(StringComparer.Ordinal) : [];
}
