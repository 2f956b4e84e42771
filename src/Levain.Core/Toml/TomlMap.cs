using System.Text;

namespace Levain.Core;

/// <summary>
/// One description of a table serves reading, writing and documentation: a settings record lists each key once,
/// <code>options with { Rank = map.Whole("rank", options.Rank), Alpha = map.Number("alpha", options.Alpha) }</code>
/// A <see cref="TomlReader"/> answers with what the file says, or the value it was given; a <see cref="TomlWriter"/> notes the value and answers with it.
/// </summary>
public abstract class TomlMap
{
    /// <summary>A switch: <c>true</c> or <c>false</c>.</summary>
    public virtual bool Flag(string key, bool now) => OptionalFlag(key, now) ?? now;

    /// <summary>A whole number.</summary>
    public virtual int Whole(string key, int now) => OptionalWhole(key, now) ?? now;

    /// <summary>A number, with or without decimals.</summary>
    public virtual double Number(string key, double now) => OptionalNumber(key, now) ?? now;

    /// <summary>A text.</summary>
    public string Text(string key, string now) => OptionalText(key, now) ?? now;

    /// <summary>One of the names of <typeparamref name="T"/>, written in lower case with underscores (<c>SmoothL1</c> is <c>smooth_l1</c>).</summary>
    public T Choice<T>(string key, T now) where T : struct, Enum => OptionalChoice<T>(key, now) ?? now;

    /// <summary>A switch that may be left out.</summary>
    public abstract bool? OptionalFlag(string key, bool? now);

    /// <summary>A whole number of 32 bits that may be left out.</summary>
    public int? OptionalWhole(string key, int? now) => (int?)OptionalLong(key, now, int.MinValue, int.MaxValue);

    /// <summary>A whole number of 64 bits that may be left out.</summary>
    public long? OptionalLong(string key, long? now) => OptionalLong(key, now, long.MinValue, long.MaxValue);

    /// <summary>A whole number within limits that may be left out.</summary>
    protected abstract long? OptionalLong(string key, long? now, long low, long high);

    /// <summary>A number that may be left out; a whole number is one too.</summary>
    public abstract double? OptionalNumber(string key, double? now);

    /// <summary>A text that may be left out.</summary>
    public abstract string? OptionalText(string key, string? now);

    /// <summary>A file or folder. One that is not absolute starts from the folder of the file it is written in; a data URL stays as it is.</summary>
    public abstract string? OptionalPath(string key, string? now);

    /// <summary>Whether a text holds a file's content instead of its path: <c>data:image/png;base64,…</c>.</summary>
    public static bool IsDataUrl(string text) => text.StartsWith("data:", StringComparison.Ordinal);

    /// <summary>A choice that may be left out.</summary>
    public abstract T? OptionalChoice<T>(string key, T? now) where T : struct, Enum;

    /// <summary>A list of whole numbers that may be left out.</summary>
    public abstract IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now);

    /// <summary>A list of numbers that may be left out.</summary>
    public abstract IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now);

    /// <summary>A list of texts that may be left out.</summary>
    public abstract IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now);

    /// <summary>A value with a spelling of its own, such as <c>"5%"</c>, <c>0.05</c> or <c>100</c>: <paramref name="read"/> answers null for what it does not understand.</summary>
    /// <param name="read">From a <c>long</c>, <c>double</c>, <c>bool</c>, <c>string</c> or list of them.</param>
    /// <param name="write">To one of those.</param>
    /// <param name="form">What is understood, for the message: <c>a number of steps, a share such as 0.05, or "5%"</c>.</param>
    public abstract T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class;

    /// <summary>Whether there is a table of this name, whatever it holds; nothing in it is looked at.</summary>
    public abstract bool HasTable(string key);

    /// <summary>A table of its own.</summary>
    public abstract T Table<T>(string key, T now, Func<T, TomlMap, T> map) where T : class, new();

    /// <summary>More keys of this very table, which another record holds: those that a choice made in the table brings with it.</summary>
    /// <param name="now">The record.</param>
    /// <param name="usual">What it would be if nothing were written; only what differs is.</param>
    /// <param name="map">Its keys.</param>
    public abstract T Part<T>(T now, T usual, Func<T, TomlMap, T> map) where T : class;

    /// <summary>A key that may be given and changes nothing here.</summary>
    public abstract void Unneeded(string key);

    /// <summary>Keys that nobody knows change nothing either, where they are a function's arguments and it takes any; a file's are refused all the same.</summary>
    /// <param name="but">Those that are refused.</param>
    public virtual void TakeOthers(params IReadOnlyList<string> but) { }

    /// <summary>A list of tables (<c>[[key]]</c>); each starts from <paramref name="fresh"/>.</summary>
    public abstract IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map) where T : class;

    /// <summary>Lower case with underscores: <c>EulerAncestral</c> becomes <c>euler_ancestral</c>.</summary>
    public static string Spell(string name)
    {
        var spelt = new StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i]) && !char.IsUpper(name[i - 1])) spelt.Append('_');
            spelt.Append(char.ToLowerInvariant(name[i]));
        }
        return spelt.ToString();
    }

    /// <summary>The names of an enumeration as a TOML file spells them.</summary>
    public static IReadOnlyList<string> Names<T>() where T : struct, Enum => [.. Enum.GetNames<T>().Select(Spell)];
}
