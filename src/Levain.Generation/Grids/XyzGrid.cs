using System.Security.Cryptography;
using System.Text;
using Levain.Core;

namespace Levain.Generation;

/// <summary>A grid of pictures over up to three axes: columns, rows, and grids of them side by side.</summary>
/// <param name="Request">What all pictures share.</param>
/// <param name="X">Columns.</param>
/// <param name="Y">Rows.</param>
/// <param name="Z">Grids side by side.</param>
/// <remarks>AUTOMATIC1111's webui, <c>scripts/xyz_grid.py</c>; values are applied X, then Y, then Z, so that Y replaces text already changed by X.</remarks>
public sealed record XyzGrid(GenerationRequest Request, GridLineUp X, GridLineUp Y, GridLineUp Z)
{
    private const long MostPixels = 200_000_000;       // the webui's img_max_size_mp

    /// <summary>Whether seeds count on from column to column.</summary>
    public bool VarySeedsX { get; init; }

    /// <summary>Whether seeds count on from row to row.</summary>
    public bool VarySeedsY { get; init; }

    /// <summary>Whether seeds count on from grid to grid.</summary>
    public bool VarySeedsZ { get; init; }

    /// <summary>Whether legends stand over and beside the pictures. Default true.</summary>
    public bool Legends { get; init; } = true;

    /// <summary>Pictures in all.</summary>
    public int Count => X.Values.Count * Y.Values.Count * Z.Values.Count;

    /// <summary>A grid that was drawn.</summary>
    /// <param name="Picture">All of it.</param>
    /// <param name="Parts">One picture for each value of Z; the whole alone where Z has one.</param>
    /// <param name="Infotext">The first picture's infotext with the axes in it.</param>
    /// <param name="Drawn">Pictures that were drawn now; the others lay there.</param>
    /// <param name="Pictures">Every picture by column, row and sub-grid.</param>
    public sealed record Result(Picture Picture, IReadOnlyList<Picture> Parts, string Infotext, int Drawn, Picture[,,] Pictures)
    {
        /// <summary>What the user should know of the grid itself; each picture has notes of its own.</summary>
        public IReadOnlyList<string> Notes { get; init; } = [];
    }

    private sealed record Cell(int X, int Y, int Z, GridCell What, string Key, string Base, string Networks);

    /// <summary>Draws what is not there yet. Pictures of one base and of the same networks are drawn together, whatever their places.</summary>
    /// <param name="bases">The bases.</param>
    /// <param name="folder">Where pictures are kept; null keeps none.</param>
    /// <param name="done">Told after each picture: how many are done, how many there are, and the picture.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <exception cref="SettingsException">A picture cannot be drawn; nothing was.</exception>
    /// <exception cref="CheckpointException">A base or network is damaged or does not fit.</exception>
    public Result Draw(BaseShelf bases, GridFolder? folder = null, Action<int, int, GridEntry>? done = null, CancellationToken cancel = default)
    {
        var cells = Cells(bases);
        folder?.Open();
        var (pictures, entries, drawn) = (new Picture[X.Values.Count, Y.Values.Count, Z.Values.Count], new List<GridEntry>(), 0);
        // Stable: groups in the order in which they are first met, and within them X before Y before Z.
        var (byBase, byNetworks) = (Order(cells, cell => cell.Base), Order(cells, cell => cell.Networks));
        var digits = Math.Max(X.Values.Count, Math.Max(Y.Values.Count, Z.Values.Count)).ToString().Length;
        foreach (var cell in cells.OrderBy(cell => byBase[cell.Base]).ThenBy(cell => byNetworks[cell.Networks]))
        {
            var file = $"x{(cell.X + 1).ToString().PadLeft(digits, '0')}-y{(cell.Y + 1).ToString().PadLeft(digits, '0')}-z{(cell.Z + 1).ToString().PadLeft(digits, '0')}.png";
            GridEntry entry;
            if (folder?.Find(cell.Key) is var (known, there) && known.File == file)
            {
                (entry, pictures[cell.X, cell.Y, cell.Z]) = (known with { X = cell.X, Y = cell.Y, Z = cell.Z }, there);
            }
            else
            {
                var result = bases.For(cell.What).Draw(cell.What.Request, cancel: cancel);
                (entry, pictures[cell.X, cell.Y, cell.Z]) = (new(cell.X, cell.Y, cell.Z, file, cell.Key, result.Infotext, result.Networks, result.Notes), result.Picture);
                folder?.Save(entry, result.Picture);
                drawn++;
            }
            entries.Add(entry);
            folder?.Write(new(Told(X), Told(Y), Told(Z), [.. entries.OrderBy(one => one.Z).ThenBy(one => one.Y).ThenBy(one => one.X)]));
            done?.Invoke(entries.Count, cells.Count, entry);
        }
        var (parts, whole) = Arrange(pictures);
        var notes = new List<string>();
        return new(whole, parts, Infotext.Of(cells[0].What.Request, bases.NamesOf(cells[0].What, notes, cancel), Fields()), drawn, pictures) { Notes = notes };
    }

    /// <summary>Every picture's cell, columns first, checked: nothing is drawn before all can be.</summary>
    /// <exception cref="SettingsException">A value or a picture is not possible.</exception>
    public IReadOnlyList<GridCell> Plan(PromptFolders folders) => [.. Planned(new PromptReader(folders)).Select(cell => cell.Cell)];

    private IEnumerable<(int X, int Y, int Z, GridCell Cell, ReadPrompt Prompt)> Planned(PromptReader reader)
    {
        for (var z = 0; z < Z.Values.Count; z++)
            for (var y = 0; y < Y.Values.Count; y++)
                for (var x = 0; x < X.Values.Count; x++)
                {
                    var cell = new GridCell(Request);
                    foreach (var (line, place) in new[] { (X, x), (Y, y), (Z, z) }) cell = line.Axis.Apply(cell, line.Values[place], line.Values);
                    cell = cell.Finished(reader.Presets);
                    var (columns, rows) = (VarySeedsX ? X.Values.Count : 1, VarySeedsY ? Y.Values.Count : 1);
                    cell = cell with { Request = cell.Request with { Seed = cell.Request.Seed + (VarySeedsX ? x : 0) + (VarySeedsY ? y * columns : 0) + (VarySeedsZ ? z * columns * rows : 0) } };
                    var problems = new Problems();
                    cell.Request.Check(problems);
                    problems.ThrowIfAny();
                    yield return (x, y, z, cell, reader.Read(cell.Request));
                }
    }

    private List<Cell> Cells(BaseShelf bases)
    {
        var cells = new List<Cell>();
        var pixels = 0L;
        foreach (var (x, y, z, what, prompt) in Planned(new PromptReader(bases.Folders)))
        {
            pixels += (long)what.Request.Size.Width * what.Request.Size.Height;
            var networks = string.Join('\n', prompt.Networks.Select(use => $"{Stamp(use.Path)} {use}").Concat(prompt.Hypernetworks.Select(use => $"{Stamp(use.Path)} {use}")));
            var ground = $"{Stamp(bases.PathOf(what))}\n{Stamp(bases.VaeOf(what))}\n{Stamp(what.Request.Refiner?.Checkpoint)}\n{Stamp(what.Request.Hires?.Checkpoint)}";
            cells.Add(new(x, y, z, what, Key(what.Request, prompt, ground, networks), ground, networks));
        }
        if (pixels > MostPixels) throw new SettingsException([new("grid", $"has {Count} pictures of {pixels / 1_000_000} megapixels together.", $"Draw at most {MostPixels / 1_000_000}: fewer values or a smaller size.")]);
        return cells;
    }

    // The request's own text names everything but lists.
    private static string Key(GenerationRequest request, ReadPrompt prompt, string ground, string networks)
    {
        var presets = request.BlockPresets is { } own ? string.Join('\n', own.Weights.Concat(own.Layers)) : "";
        var begun = request.Img2Img is { } img2img ? Digest(img2img.Init.Rgb) + Digest(img2img.Inpaint?.Mask.Levels ?? []) : "";
        var text = string.Join('\0', request.ToString(), begun, prompt.Text, prompt.Negative, presets, ground, networks);
        return Digest(Encoding.UTF8.GetBytes(text));
    }

    private static string Digest(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static string Stamp(string? path) => path is null ? "" : File.Exists(path) ? $"{path}|{new FileInfo(path).Length}|{File.GetLastWriteTimeUtc(path).Ticks}" : path;

    private static Dictionary<string, int> Order(List<Cell> cells, Func<Cell, string> key)
    {
        var order = new Dictionary<string, int>();
        foreach (var cell in cells) order.TryAdd(key(cell), order.Count);
        return order;
    }

    private (IReadOnlyList<Picture> Parts, Picture Whole) Arrange(Picture[,,] pictures)
    {
        List<Picture> parts = [.. Enumerable.Range(0, Z.Values.Count).Select(z => PictureGrid.Arrange(
            [.. Enumerable.Range(0, Y.Values.Count).Select(y => Enumerable.Range(0, X.Values.Count).Select(x => pictures[x, y, z]).ToList())], Shown(X), Shown(Y)))];
        return (parts, parts is [var only] ? only : PictureGrid.Arrange([parts], Shown(Z), []));
    }

    private IReadOnlyList<string> Shown(GridLineUp line) => Legends && line.Legends.Any(legend => legend.Length > 0) ? line.Legends : [];

    private IEnumerable<(string Key, string Value)> Fields()
    {
        yield return ("Script", "X/Y/Z plot");
        foreach (var (name, line) in new[] { ("X", X), ("Y", Y), ("Z", Z) })
        {
            if (line.Axis == GridAxes.Nothing) continue;
            yield return ($"{name} Type", line.Axis.Name);
            yield return ($"{name} Values", AxisValues.Write([.. line.Values.Select(AxisValues.Show)]));
        }
    }

    private static GridAxisEntry Told(GridLineUp line) => new(line.Axis.Name, [.. line.Values.Select(AxisValues.Show)], line.Legends);
}
