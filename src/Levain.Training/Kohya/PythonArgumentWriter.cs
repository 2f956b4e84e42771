using Levain.Core;

namespace Levain.Training.Kohya;

/// <summary>Says a settings record as arguments of the form <c>name=value</c>: those that differ from the usual ones, as Python values.</summary>
internal sealed class PythonArgumentWriter : TomlMap
{
    private readonly List<KeyValuePair<string, object?>> values = [];

    /// <summary>The arguments in the record's order.</summary>
    public static IReadOnlyList<KeyValuePair<string, object?>> Write<T>(T settings, T usual, Func<T, TomlMap, T> map)
    {
        var (now, then) = (new PythonArgumentWriter(), new PythonArgumentWriter());
        map(settings, now);
        map(usual, then);
        var same = then.values.ToDictionary(value => value.Key, value => PythonText.Repr(value.Value));
        return [.. now.values.Where(value => PythonText.Repr(value.Value) != same.GetValueOrDefault(value.Key))];
    }

    public override bool? OptionalFlag(string key, bool? now) => Note(key, now, now);

    protected override long? OptionalLong(string key, long? now, long low, long high) => Note(key, now, now);

    public override double? OptionalNumber(string key, double? now) => Note(key, now, now);

    public override string? OptionalText(string key, string? now) => Note(key, now, now);

    public override string? OptionalPath(string key, string? now) => Note(key, now, now);

    public override T? OptionalChoice<T>(string key, T? now) => Note(key, now, now is { } choice ? Spell(choice.ToString()) : null);

    public override IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now) => Note(key, now, now is null ? null : new PythonTuple([.. now.Cast<object?>()]));

    public override IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now) => Note(key, now, now is null ? null : new PythonTuple([.. now.Cast<object?>()]));

    public override IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now) => Note(key, now, now is null ? null : new PythonTuple([.. now]));

    public override T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class => Note(key, now, now is null ? null : write(now));

    public override bool HasTable(string key) => false;

    public override T Table<T>(string key, T now, Func<T, TomlMap, T> map) => now;

    public override T Part<T>(T now, T usual, Func<T, TomlMap, T> map) => map(now, this);

    public override void Unneeded(string key) { }

    public override IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map) => now;

    private T Note<T>(string key, T now, object? value)
    {
        values.Add(new(key, value));
        return now;
    }
}
