using Levain.Core;

namespace Levain.Data;

/// <summary>A folder of masks for masked loss: one picture for each training picture, of the same name up to its ending. White counts fully, black not at all.</summary>
/// <remarks>kohya-ss/sd-scripts <c>library/train_util.py</c>, <c>ControlNetDataset</c>: red is taken.</remarks>
internal sealed class MaskFolder
{
    private readonly string folder;
    private readonly DatasetReport report;
    private readonly Compat compat;
    private readonly Dictionary<string, string> byName = [];
    private readonly HashSet<string> used = [];

    private MaskFolder(string folder, Compat compat, DatasetReport report) => (this.folder, this.compat, this.report) = (folder, compat, report);

    /// <summary>Lists the masks of a folder.</summary>
    /// <exception cref="DatasetException">There is no such folder.</exception>
    public static MaskFolder Read(string folder, Compat compat, DatasetReport report)
    {
        if (!Directory.Exists(folder)) throw new DatasetException(folder, "does not exist. Name the folder of masks, or leave conditioning_data_dir out.");
        var masks = new MaskFolder(folder, compat, report);
        foreach (var path in ImageNames.In(folder, compat)) masks.byName.TryAdd(Path.GetFileNameWithoutExtension(path), path);
        return masks;
    }

    /// <summary>The mask of a picture.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="header">Its size.</param>
    /// <param name="bucketed">Whether there are buckets: without them kohya takes a mask of any size.</param>
    /// <exception cref="DatasetException">It has none, or one of another shape.</exception>
    public string Of(string picture, ImageHeader header, bool bucketed)
    {
        var name = Path.GetFileNameWithoutExtension(picture);
        if (!byName.TryGetValue(name, out var mask))
            throw new DatasetException(picture, $"has no mask in {folder}. Put one there called {name}.png (white counts, black does not), or remove the picture.");
        used.Add(name);
        PixelSize size;
        try
        {
            size = Size(ImageExamination.Header(mask).Header);
        }
        catch (ImageException failure)
        {
            throw new DatasetException(mask, failure.Message, failure);
        }
        var wanted = Size(header);
        if (size != wanted && (bucketed || !compat.MasksApart)) throw new DatasetException(mask, $"is {size} px, and its picture {picture} is {wanted}. Give the mask the size of its picture.");
        return mask;
    }

    /// <summary>Notes masks that belong to no picture.</summary>
    public void ReportUnused()
    {
        foreach (var (name, path) in byName)
            if (!used.Contains(name)) report.Add(new IgnoredPath(path, "no picture has this mask's name"));
    }

    private PixelSize Size(ImageHeader header) => compat.RawPixels ? header.Stored : header.Size;
}
