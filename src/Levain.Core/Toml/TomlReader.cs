namespace Levain.Core;

/// <summary>Reads one table of a TOML file. Wrong types and unknown keys become problems with line and column; nothing is thrown.</summary>
public sealed class TomlReader : TomlMap
{
    private readonly TomlTable table;
    private readonly Problems problems;
    private readonly string folder;
    private readonly HashSet<string> known = [];

    private TomlReader(TomlTable table, Problems problems, string folder) => (this.table, this.problems, this.folder) = (table, problems, folder);

    /// <summary>Reads the whole document through <paramref name="map"/>, starting from <paramref name="fresh"/>.</summary>
    /// <param name="folder">Where relative paths start.</param>
    public static T Read<T>(TomlDocument document, T fresh, Func<T, TomlMap, T> map, Problems problems, string folder) where T : class =>
        Read(document.Root, fresh, map, problems, folder);

    private static T Read<T>(TomlTable table, T fresh, Func<T, TomlMap, T> map, Problems problems, string folder) where T : class
    {
        var reader = new TomlReader(table, problems, folder);
        var result = map(fresh, reader);
        foreach (var key in table.Keys.Where(key => !reader.known.Contains(key)))
            problems.Add(key, "is not a known setting.", Nearest.Advice(key, reader.known));
        return result;
    }

    /// <inheritdoc/>
    public override bool? OptionalFlag(string key, bool? now) => Get(key) switch
    {
        null => now,
        { Value: bool flag } => flag,
        var other => Wrong(key, other, "true or false", now),
    };

    /// <inheritdoc/>
    protected override long? OptionalLong(string key, long? now, long low, long high) => Get(key) switch
    {
        null => now,
        { Value: long whole } when whole >= low && whole <= high => whole,
        var other => Wrong(key, other, low == int.MinValue ? "a whole number of at most nine digits" : "a whole number", now),
    };

    /// <inheritdoc/>
    public override double? OptionalNumber(string key, double? now) => Get(key) switch
    {
        null => now,
        { Value: double number } when double.IsFinite(number) => number,
        { Value: long whole } => whole,
        var other => Wrong(key, other, "a number", now),
    };

    /// <inheritdoc/>
    public override string? OptionalText(string key, string? now) => Get(key) switch
    {
        null => now,
        { Value: string text } => text,
        var other => Wrong(key, other, "a text in quotes", now),
    };

    /// <inheritdoc/>
    public override string? OptionalPath(string key, string? now) => Get(key) switch
    {
        null => now,
        { Value: string { Length: 0 } } => null,
        { Value: string url } when IsDataUrl(url) => url,
        { Value: string path } entry => Path.GetFullPath(path, entry.Origin == "--set" ? Environment.CurrentDirectory : folder),
        var other => Wrong(key, other, "a path in quotes", now),
    };

    /// <inheritdoc/>
    public override T? OptionalChoice<T>(string key, T? now)
    {
        if (Get(key) is not { } entry) return now;
        if (entry.Value is not string text) return Wrong(key, entry, $"one of {string.Join(", ", Names<T>().Select(name => $"\"{name}\""))}", now);
        var at = Names<T>().ToList().IndexOf(text.ToLowerInvariant());
        if (at >= 0) return Enum.GetValues<T>()[at];
        problems.Add(key, $"is \"{text}\".", Nearest.Advice(text, [.. Names<T>()]));
        return now;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now) =>
        List(key, now, "a list of whole numbers", value => value is long whole and >= int.MinValue and <= int.MaxValue ? (int)whole : null);

    /// <inheritdoc/>
    public override IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now) =>
        List<double>(key, now, "a list of numbers", value => value is long whole ? whole : value as double?);

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now)
    {
        if (Get(key) is not { } entry) return now;
        if (entry.Value is List<TomlEntry> list && list.All(item => item.Value is string)) return [.. list.Select(item => (string)item.Value)];
        return Wrong(key, entry, "a list of texts", now);
    }

    /// <inheritdoc/>
    public override T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class
    {
        if (Get(key) is not { } entry) return now;
        var value = entry.Value is List<TomlEntry> list ? list.Select(item => item.Value).ToList() : entry.Value;
        return read(value) ?? Wrong(key, entry, form, now);
    }

    /// <inheritdoc/>
    public override bool HasTable(string key) => Get(key) is not null;

    /// <inheritdoc/>
    public override T Table<T>(string key, T now, Func<T, TomlMap, T> map)
    {
        if (Get(key) is not { } entry) return now;
        return entry.Value is TomlTable inside ? Read(inside, now, map, problems.In(key), folder) : Wrong(key, entry, $"a table: put [{key}] on a line of its own and its settings below", now);
    }

    /// <inheritdoc/>
    public override T Part<T>(T now, T usual, Func<T, TomlMap, T> map) => map(now, this);

    /// <inheritdoc/>
    public override void Unneeded(string key) => Get(key);

    /// <inheritdoc/>
    public override IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map)
    {
        if (Get(key) is not { } entry) return now;
        if (entry.Value is not List<TomlEntry> list || list.Any(item => item.Value is not TomlTable))
            return Wrong(key, entry, $"a list of tables: put [[{key}]] on a line of its own for each", now);
        return [.. list.Select((item, i) => Read((TomlTable)item.Value, fresh(), map, problems.In($"{key}[{i}]"), folder))];
    }

    private TomlEntry? Get(string key)
    {
        known.Add(key);
        return table[key];
    }

    private IReadOnlyList<T>? List<T>(string key, IReadOnlyList<T>? now, string form, Func<object, T?> read) where T : struct
    {
        if (Get(key) is not { } entry) return now;
        if (entry.Value is List<TomlEntry> list && list.Select(item => read(item.Value)).ToList() is var values && values.All(value => value is not null))
            return [.. values.Select(value => value!.Value)];
        return Wrong(key, entry, form, now);
    }

    private T Wrong<T>(string key, TomlEntry found, string wanted, T now)
    {
        problems.Add(key, $"is {found.Described}.", $"Give {wanted}.");
        return now;
    }
}
