using System.Globalization;
using System.Text;

namespace Levain.Core;

/// <summary>Writes settings as TOML: only what differs from the defaults, tables after plain values, paths below the file's folder as relative ones.</summary>
public sealed class TomlWriter : TomlMap
{
    private readonly List<(string Key, object? Value)> values = [], parts = [];
    private readonly List<(string Header, TomlWriter Body)> tables = [];
    private readonly string path;
    private readonly string folder;

    private TomlWriter(string path, string folder) => (this.path, this.folder) = (path, folder);

    /// <summary>The TOML text of <paramref name="settings"/>, without what equals <paramref name="defaults"/>.</summary>
    /// <param name="folder">Folder of the file to be written: paths below it become relative.</param>
    public static string Write<T>(T settings, T defaults, Func<T, TomlMap, T> map, string folder) where T : class
    {
        var text = new StringBuilder();
        Compare("", settings, defaults, map, folder).Print(text, null);
        return text.ToString().TrimStart('\n');
    }

    private static TomlWriter Compare<T>(string path, T settings, T defaults, Func<T, TomlMap, T> map, string folder)
    {
        var (written, usual) = (new TomlWriter(path, folder), new TomlWriter(path, folder));
        map(settings, written);
        map(defaults, usual);
        var same = usual.values.ToDictionary(value => value.Key, value => Literal(value.Value));
        written.values.RemoveAll(value => value.Value is null || same.GetValueOrDefault(value.Key) == Literal(value.Value));
        written.values.AddRange(written.parts);
        return written;
    }

    private void Print(StringBuilder text, string? header)
    {
        if (header is not null && (values.Count > 0 || header.StartsWith("[["))) text.Append('\n').Append(header).Append('\n');
        foreach (var (key, value) in values) text.Append(key).Append(" = ").Append(Literal(value)).Append('\n');
        foreach (var (inner, body) in tables) body.Print(text, inner);
    }

    /// <summary>A value as TOML spells it.</summary>
    public static string Literal(object? value) => value switch
    {
        null => "",
        bool flag => flag ? "true" : "false",
        double number => number == Math.Floor(number) && Math.Abs(number) < 1e15 ? number.ToString("F1", CultureInfo.InvariantCulture) : number.ToString("R", CultureInfo.InvariantCulture),
        string word => Quote(word),
        System.Collections.IEnumerable list => $"[{string.Join(", ", list.Cast<object>().Select(Literal))}]",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static string Quote(string word)
    {
        var quoted = new StringBuilder("\"");
        foreach (var letter in word)
            quoted.Append(letter switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\t' => "\\t",
                < ' ' or '\u007f' => $"\\u{(int)letter:x4}",
                _ => letter.ToString(),
            });
        return quoted.Append('"').ToString();
    }

    /// <inheritdoc/>
    public override bool? OptionalFlag(string key, bool? now) => Note(key, now);

    /// <inheritdoc/>
    protected override long? OptionalLong(string key, long? now, long low, long high) => Note(key, now);

    /// <inheritdoc/>
    public override double? OptionalNumber(string key, double? now) => Note(key, now);

    /// <inheritdoc/>
    public override string? OptionalText(string key, string? now) => Note(key, now);

    /// <inheritdoc/>
    public override string? OptionalPath(string key, string? now)
    {
        var relative = now is null || IsDataUrl(now) ? null : Path.GetRelativePath(folder, now);
        Note(key, relative is null || relative.StartsWith("..") ? now : relative.Replace('\\', '/'));
        return now;
    }

    /// <inheritdoc/>
    public override T? OptionalChoice<T>(string key, T? now)
    {
        Note(key, now is { } choice ? Spell(choice.ToString()) : null);
        return now;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now) => Note(key, now);

    /// <inheritdoc/>
    public override IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now) => Note(key, now);

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now) => Note(key, now);

    /// <inheritdoc/>
    public override T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class
    {
        Note(key, now is null ? null : write(now));
        return now;
    }

    /// <inheritdoc/>
    public override bool HasTable(string key) => false;

    /// <inheritdoc/>
    public override T Table<T>(string key, T now, Func<T, TomlMap, T> map)
    {
        var inner = path.Length == 0 ? key : $"{path}.{key}";
        tables.Add(($"[{inner}]", Compare(inner, now, new T(), map, folder)));
        return now;
    }

    /// <inheritdoc/>
    public override T Part<T>(T now, T usual, Func<T, TomlMap, T> map)
    {
        parts.AddRange(Compare(path, now, usual, map, folder).values);
        return now;
    }

    /// <inheritdoc/>
    public override void Unneeded(string key) { }

    /// <inheritdoc/>
    public override IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map)
    {
        var inner = path.Length == 0 ? key : $"{path}.{key}";
        foreach (var item in now) tables.Add(($"[[{inner}]]", Compare(inner, item, fresh(), map, folder)));
        return now;
    }

    private T Note<T>(string key, T value)
    {
        values.Add((key, value));
        return value;
    }
}
