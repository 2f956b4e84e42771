using Levain.Core;

namespace Levain.Training.Kohya;

/// <summary>Reads a settings record from arguments of the form <c>name=value</c> with Python literals, as kohya's <c>--optimizer_args</c>.</summary>
internal sealed class PythonArguments : TomlMap
{
    private readonly Dictionary<string, object?> given;
    private readonly string option;
    private readonly Problems problems;
    private readonly HashSet<string> known = [];
    private IReadOnlyList<string>? refused;     // null: all that are not known

    private PythonArguments(Dictionary<string, object?> given, string option, Problems problems) => (this.given, this.option, this.problems) = (given, option, problems);

    /// <summary>Fills a record. Arguments that it does not know, and values of another kind, become problems.</summary>
    /// <param name="given">Names and values; the last of a name counts.</param>
    /// <param name="option">The option they stand behind, with its dashes.</param>
    /// <param name="of">What takes the arguments, for messages.</param>
    public static T Read<T>(IEnumerable<KeyValuePair<string, object?>> given, string option, string of, T fresh, Func<T, TomlMap, T> map, Problems problems)
    {
        var last = new Dictionary<string, object?>();
        foreach (var (name, value) in given) last[name] = value;
        var arguments = new PythonArguments(last, option, problems);
        var result = map(fresh, arguments);
        foreach (var name in last.Keys.Where(name => !arguments.known.Contains(name) && arguments.refused?.Contains(name) is not false))
            problems.Add(option, $"has {name}, which {of} does not take.", Nearest.Advice(name, arguments.known));
        return result;
    }

    public override void TakeOthers(params IReadOnlyList<string> but) => refused = but;

    // None is false where a switch is asked for, and no number.
    public override bool Flag(string key, bool now) => OptionalFlag(key, now) ?? false;

    public override int Whole(string key, int now) => OptionalWhole(key, now) ?? Wrong(key, null, "a whole number", now);

    public override double Number(string key, double now) => OptionalNumber(key, now) ?? Wrong(key, null, "a number", now);

    public override bool? OptionalFlag(string key, bool? now) => Get(key, out var value) ? value switch
    {
        bool flag => flag,
        0L => false,
        1L => true,
        null => null,
        _ => Wrong(key, value, "True or False", now),
    } : now;

    protected override long? OptionalLong(string key, long? now, long low, long high) => Get(key, out var value) ? value switch
    {
        long whole when whole >= low && whole <= high => whole,
        double number when number == Math.Floor(number) && number >= low && number <= high => (long)number,
        null => null,
        _ => Wrong(key, value, "a whole number", now),
    } : now;

    public override double? OptionalNumber(string key, double? now) => Get(key, out var value) ? value is null ? null : Number(value) ?? Wrong(key, value, "a number", now) : now;

    public override string? OptionalText(string key, string? now) => Get(key, out var value) ? value is null or string ? (string?)value : Wrong(key, value, "a text in quotes", now) : now;

    public override string? OptionalPath(string key, string? now) => OptionalText(key, now);

    public override T? OptionalChoice<T>(string key, T? now)
    {
        if (!Get(key, out var value) || value is null) return now;
        var at = Names<T>().ToList().IndexOf((value as string ?? "").Replace('-', '_'));
        return at >= 0 ? Enum.GetValues<T>()[at] : Wrong(key, value, $"one of {string.Join(", ", Names<T>().Select(name => $"'{name}'"))}", now);
    }

    public override IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now) =>
        List(key, now, "whole numbers: 20,50", value => value is long and >= int.MinValue and <= int.MaxValue ? (int?)(long)value : null);

    public override IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now) => List(key, now, "numbers: 0.9,0.99", Number);

    public override IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now) =>
        Get(key, out var value) && value is not null ? Items(value) is { } items && items.All(item => item is string) ? [.. items.Cast<string>()] : Wrong(key, value, "texts", now) : now;

    public override T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class =>
        Get(key, out var value) && value is not null ? read(Items(value)?.Select(item => item!).ToList() ?? value) ?? Wrong(key, value, form, now) : now;

    public override bool HasTable(string key) => false;

    public override T Table<T>(string key, T now, Func<T, TomlMap, T> map) => now;

    public override T Part<T>(T now, T usual, Func<T, TomlMap, T> map) => map(now, this);

    public override void Unneeded(string key) => known.Add(key);

    public override IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map) => now;

    private bool Get(string key, out object? value)
    {
        known.Add(key);
        return given.TryGetValue(key, out value);
    }

    private IReadOnlyList<T>? List<T>(string key, IReadOnlyList<T>? now, string form, Func<object?, T?> read) where T : struct
    {
        if (!Get(key, out var value)) return now;
        return Items(value)?.Select(read).ToList() is { } items && items.All(item => item is not null) ? [.. items.Select(item => item!.Value)] : Wrong(key, value, form, now);
    }

    private static IReadOnlyList<object?>? Items(object? value) => value switch
    {
        PythonTuple tuple => [.. tuple.Items],
        string => null,
        System.Collections.IEnumerable list => [.. list.Cast<object?>()],
        _ => null,
    };

    private static double? Number(object? value) => value switch { double number => number, long small => small, System.Numerics.BigInteger whole => (double)whole, _ => null };

    private T Wrong<T>(string key, object? found, string wanted, T now)
    {
        problems.Add(option, $"has {key}={PythonText.Repr(found)}.", $"Give {wanted}.");
        return now;
    }
}
