using System.Globalization;
using Levain.Core;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>The words of <c>--network_args</c>, all of them texts, read by name; whatever nobody has asked for is noted at the end.</summary>
/// <param name="given">Names and values.</param>
/// <param name="problems">What is wrong with them.</param>
internal sealed class NetworkArguments(IReadOnlyDictionary<string, string> given, Problems problems)
{
    private readonly List<string> known = [];
    private readonly Dictionary<string, string> ignored = [];

    /// <summary>LyCORIS' reading of a switch: everything but <c>false</c>, in any case, is true.</summary>
    public static bool IsTrue(string text) => !text.Equals("false", StringComparison.OrdinalIgnoreCase);

    /// <summary>The text itself, or null.</summary>
    public string? Text(string name)
    {
        known.Add(name);
        return ignored.ContainsKey(name) ? null : given.GetValueOrDefault(name);
    }

    /// <summary>Whether any of these was given and is read.</summary>
    public bool Has(params ReadOnlySpan<string> names)
    {
        foreach (var name in names) if (given.ContainsKey(name) && !ignored.ContainsKey(name)) return true;
        return false;
    }

    /// <summary>Passes over an argument that the reference reads beside another one only.</summary>
    public void Ignore(string name, string other)
    {
        if (given.ContainsKey(name)) ignored.TryAdd(name, other);
    }

    /// <summary>An argument that changes nothing, in the reference as here.</summary>
    public void Passes(string name) => known.Add(name);

    /// <summary>A switch as LyCORIS reads it.</summary>
    public bool Flag(string name, bool otherwise = false) => Text(name) is { } text ? IsTrue(text) : otherwise;

    /// <summary>A whole number, or null.</summary>
    public int? Whole(string name) => Parsed(name, Int, "Give a whole number.");

    /// <summary>A number, or null.</summary>
    public double? Number(string name) => Parsed(name, Double, "Give a number.");

    /// <summary>Whole numbers with commas between, or null.</summary>
    public IReadOnlyList<int>? Wholes(string name) => List(name, Int);

    /// <summary>Numbers with commas between, or null.</summary>
    public IReadOnlyList<double>? Numbers(string name) => List(name, Double);

    /// <summary>Weights of blocks, or null.</summary>
    public BlockCurve? Curve(string name)
    {
        if (Text(name) is not { } text) return null;
        if (BlockCurve.Parse(text) is { } curve) return curve;
        problems.Add(name, $"is \"{text}\".", $"Give {BlockCurve.Form}.");
        return null;
    }

    /// <summary>The family of one of LyCORIS' algorithms, or null.</summary>
    public string? Family(string algorithm) => LycorisArguments.Family(algorithm, problems, "algo");

    /// <summary>Names what nobody has asked for: kohya and LyCORIS pass over it without a word.</summary>
    public void NoteOthers(string module, ICollection<string>? notes)
    {
        foreach (var (name, other) in ignored) notes?.Add($"--network_args {name} changes nothing: it is read beside {other} only.");
        foreach (var name in given.Keys.Except(known)) notes?.Add($"--network_args {name} changes nothing: it is not an argument of {module}. {Nearest.Advice(name, known)}");
    }

    private T? Parsed<T>(string name, Func<string, T?> parse, string fix) where T : struct
    {
        if (Text(name) is not { } text || text == "None") return null;
        if (parse(text) is { } value) return value;
        problems.Add(name, $"is \"{text}\".", fix);
        return null;
    }

    private IReadOnlyList<T>? List<T>(string name, Func<string, T?> parse) where T : struct
    {
        if (Text(name) is not { } text) return null;
        var values = text.Split(',').Select(parse).ToList();
        if (values.All(value => value is not null)) return [.. values.Select(value => value!.Value)];
        problems.Add(name, $"is \"{text}\".", "Give 25 numbers with commas between.");
        return null;
    }

    private static int? Int(string text) => int.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole : null;

    private static double? Double(string text) => double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
