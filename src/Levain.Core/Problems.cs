namespace Levain.Core;

/// <summary>One thing that is wrong with what the user gave: where it is, what was found, and how to mend it.</summary>
/// <param name="Where">Dotted setting (<c>network.rank</c>), file or folder the problem is in.</param>
/// <param name="What">What was found, value included; ends with a full stop.</param>
/// <param name="Fix">What to do; ends with a full stop.</param>
public sealed record Problem(string Where, string What, string Fix)
{
    /// <summary>File and position, such as <c>run.toml(12,8)</c>; null where the value came from no file.</summary>
    public string? Origin { get; init; }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(Origin is null ? "" : Origin + " ")}{Where}: {What}{(Fix.Length > 0 ? " " + Fix : "")}";
}

/// <summary>Collects everything that is wrong, so that a user reads all of it at once.</summary>
public sealed class Problems
{
    private readonly List<Problem> found;
    private readonly string prefix;
    private readonly Func<string, string?> locate;

    /// <param name="locate">Finds the origin (<c>run.toml(12,8)</c>) of a dotted setting; null where there is no file.</param>
    public Problems(Func<string, string?>? locate = null) : this([], "", locate ?? (_ => null)) { }

    private Problems(List<Problem> found, string prefix, Func<string, string?> locate) =>
        (this.found, this.prefix, this.locate) = (found, prefix, locate);

    /// <summary>All problems so far, in the order they were found.</summary>
    public IReadOnlyList<Problem> All => found;

    /// <summary>Whether any problem was found.</summary>
    public bool Any => found.Count > 0;

    /// <summary>The same collection, seen from inside table <paramref name="table"/>: names are prefixed by it.</summary>
    public Problems In(string table) => new(found, Join(table), locate);

    /// <summary>Adds a problem unless <paramref name="holds"/>.</summary>
    public void Require(bool holds, string name, string what, string fix)
    {
        if (!holds) Add(name, what, fix);
    }

    /// <summary>Adds a problem, once.</summary>
    /// <param name="name">Setting inside the current table, or a path.</param>
    /// <param name="what">What was found, value included, as a sentence that follows "name: ".</param>
    /// <param name="fix">What to do, as a sentence.</param>
    public void Add(string name, string what, string fix)
    {
        var where = Join(name);
        var problem = new Problem(where, what, fix) { Origin = locate(where) };
        if (!found.Contains(problem)) found.Add(problem);
    }

    /// <exception cref="SettingsException">There is at least one problem; the message lists all of them.</exception>
    public void ThrowIfAny()
    {
        if (Any) throw new SettingsException(found);
    }

    private string Join(string name) => prefix.Length == 0 ? name : name.Length == 0 ? prefix : $"{prefix}.{name}";
}

/// <summary>Settings that cannot run; carries every problem found. Exit code 2.</summary>
public sealed class SettingsException(IReadOnlyList<Problem> problems)
    : Exception(string.Join(Environment.NewLine, problems))
{
    /// <summary>All problems, in the order they were found.</summary>
    public IReadOnlyList<Problem> Problems { get; } = problems;
}

/// <summary>A checkpoint, network or embedding file that cannot be used as asked. Exit code 1.</summary>
/// <param name="path">The file.</param>
/// <param name="what">What was found and how to mend it, as a sentence that follows "path: ".</param>
/// <param name="key">The tensor or metadata key concerned; null where it is the whole file.</param>
public sealed class CheckpointException(string path, string what, string? key = null, Exception? cause = null)
    : Exception($"{System.IO.Path.GetFileName(path)}: {(key is null ? "" : $"'{key}' ")}{what}", cause)
{
    /// <summary>The file, as it was named.</summary>
    public string Path { get; } = path;

    /// <summary>The tensor or metadata key concerned, or null.</summary>
    public string? Key { get; } = key;

    /// <summary>What kind of trouble it is, for programs; people read the message.</summary>
    public CheckpointFault Fault { get; init; }
}

/// <summary>Why a file is refused.</summary>
public enum CheckpointFault
{
    /// <summary>Sound, but not what was asked for, or not readable at all.</summary>
    Unusable,

    /// <summary>0 bytes.</summary>
    Empty,

    /// <summary>A Git LFS pointer in place of the file.</summary>
    GitLfsPointer,

    /// <summary>Another kind of file, or a pickle of something else.</summary>
    NotACheckpoint,

    /// <summary>Readable, but without a single tensor.</summary>
    NoTensors,

    /// <summary>The end is missing.</summary>
    Truncated,

    /// <summary>A safetensors header that does not describe its file exactly.</summary>
    BadHeader,

    /// <summary>A damaged or misleading zip archive.</summary>
    BadZip,

    /// <summary>A pickle that does not follow the rules.</summary>
    BadPickle,

    /// <summary>A pickle that names code; nothing of it was run.</summary>
    ForbiddenGlobal,

    /// <summary>Sizes, strides, offsets or storage of a tensor do not fit together.</summary>
    BadTensor,

    /// <summary>Unpacks to more than any real model.</summary>
    TooLarge,

    /// <summary>Nested deeper than any real model.</summary>
    TooDeep,
}

/// <summary>Pictures or captions that cannot be used. Exit code 1.</summary>
/// <param name="path">The file or folder.</param>
/// <param name="what">What was found and how to mend it, as a sentence that follows "path: ".</param>
public sealed class DatasetException(string path, string what, Exception? cause = null)
    : Exception($"{path}: {what}", cause)
{
    /// <summary>The file or folder, as it was named.</summary>
    public string Path { get; } = path;
}
