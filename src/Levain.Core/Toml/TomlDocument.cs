using System.Globalization;
using System.Text.Json;
using Tomlyn.Parsing;
using Tomlyn.Syntax;

namespace Levain.Core;

/// <summary>One value of a TOML file and the place where it stands.</summary>
/// <param name="Value">A <c>long</c>, <c>double</c>, <c>bool</c>, <c>string</c>, <see cref="TomlTable"/>, or a list of <see cref="TomlEntry"/>; a date stays the text it was, and JSON's null is <see cref="DBNull"/>.</param>
/// <param name="Origin">File, line and column as <c>run.toml(12,8)</c>; <c>--set</c> for a value of the command line.</param>
public sealed record TomlEntry(object Value, string Origin)
{
    /// <summary>What the value is, in the words of an error message: <c>the number 8</c>, <c>the text "eight"</c>.</summary>
    public string Described => Value switch
    {
        long whole => $"the whole number {whole}",
        double number => $"the number {number.ToString("R", CultureInfo.InvariantCulture)}",
        bool flag => flag ? "true" : "false",
        string text => $"the text \"{text}\"",
        TomlTable => "a table",
        IReadOnlyList<TomlEntry> list => $"a list of {list.Count}",
        DBNull => "null",
        _ => "a date",
    };
}

/// <summary>A table of a TOML file: keys in the order they were written.</summary>
public sealed class TomlTable
{
    private readonly Dictionary<string, TomlEntry> entries = [];
    private readonly List<string> keys = [];

    /// <summary>Keys in file order.</summary>
    public IReadOnlyList<string> Keys => keys;

    /// <summary>The entry called <paramref name="key"/>, or null.</summary>
    public TomlEntry? this[string key]
    {
        get => entries.GetValueOrDefault(key);
        set
        {
            if (value is null) throw new ArgumentNullException(nameof(value));
            if (!entries.ContainsKey(key)) keys.Add(key);
            entries[key] = value;
        }
    }
}

/// <summary>
/// A TOML file as a tree that remembers where everything stands. Tomlyn parses; nothing is mapped to types here, so that a
/// <see cref="TomlReader"/> can report every unknown key and every wrong type at once.
/// </summary>
public sealed class TomlDocument
{
    private TomlDocument(TomlTable root) => Root = root;

    /// <summary>The top-level table.</summary>
    public TomlTable Root { get; }

    /// <summary>A document without any key.</summary>
    public static TomlDocument Empty() => new(new());

    /// <summary>Parses <paramref name="text"/>; syntax errors are added to <paramref name="problems"/>, each with line and column, and what could be read is kept.</summary>
    /// <param name="name">File name shown in messages.</param>
    public static TomlDocument Parse(string text, string name, Problems problems)
    {
        var syntax = SyntaxParser.Parse(text, name, validate: true);
        foreach (var message in syntax.Diagnostics)
            problems.Add(At(name, message.Span), message.Message.TrimEnd('.') + ".", "Mend the TOML there: https://toml.io shows the form.");
        var document = Empty();
        if (syntax.HasErrors) return document;
        document.Fill(document.Root, syntax.KeyValues, name);
        foreach (var table in syntax.Tables)
        {
            if (table.Name is not { } key) continue;
            var path = Parts(key);
            var parent = document.Descend(document.Root, path[..^1], At(name, table.Span));
            document.Fill(table is TableArraySyntax ? Append(parent, path[^1], At(name, table.Span)) : document.Descend(parent, path[^1..], At(name, table.Span)), table.Items, name);
        }
        return document;
    }

    /// <summary>Reads the same tree from JSON, where a number with a point or an exponent is one with decimals; an error of form is added to <paramref name="problems"/>.</summary>
    /// <param name="name">File name shown in messages.</param>
    public static TomlDocument ParseJson(string text, string name, Problems problems)
    {
        try
        {
            if (Read(JsonElement.Parse(text), name).Value is TomlTable root) return new(root);
            problems.Add(name, "is JSON without keys.", "Write an object: {\"datasets\": […]}.");
        }
        catch (JsonException exception)
        {
            problems.Add(name, $"is not JSON: {exception.Message}", "Mend the JSON there.");
        }
        return Empty();
    }

    private static TomlEntry Read(JsonElement value, string name)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                var table = new TomlTable();
                foreach (var item in value.EnumerateObject()) table[item.Name] = Read(item.Value, name);
                return new(table, name);
            case JsonValueKind.Array: return new(value.EnumerateArray().Select(item => Read(item, name)).ToList(), name);
            case JsonValueKind.True or JsonValueKind.False: return new(value.GetBoolean(), name);
            case JsonValueKind.Number: return new(value.GetRawText().AsSpan().ContainsAny('.', 'e', 'E') || !value.TryGetInt64(out var whole) ? value.GetDouble() : (object)whole, name);
            case JsonValueKind.String: return new(value.GetString()!, name);
            default: return new(DBNull.Value, name);
        }
    }

    /// <summary>
    /// Puts <c>table.key=value</c> in place of what the file says. The value is read as TOML where it is TOML (<c>8</c>, <c>true</c>, <c>[1, 2]</c>),
    /// else as text, so <c>output.name=mochi</c> needs no quotes. A list of tables is addressed by number: <c>datasets.0.batch_size=2</c>.
    /// </summary>
    public void Set(string assignment, Problems problems)
    {
        var equals = assignment.IndexOf('=');
        if (equals <= 0)
        {
            problems.Add("--set", $"'{assignment}' has no value.", "Write it as --set network.rank=8.");
            return;
        }
        var (path, text) = (assignment[..equals].Trim().Split('.'), assignment[(equals + 1)..].Trim());
        var parsed = SyntaxParser.Parse($"x = {text}\n", "--set", validate: true);
        var value = parsed.HasErrors || parsed.Tables.ChildrenCount > 0 || parsed.KeyValues.ChildrenCount != 1
            ? new TomlEntry(text, "--set")
            : Relabel(Read(parsed.KeyValues.GetChild(0)!.Value, ""));
        Descend(Root, path[..^1], "--set")[path[^1]] = value;
    }

    /// <summary>Where the setting <paramref name="dotted"/> (<c>datasets[0].subsets[1].num_repeats</c>) stands, or the nearest table around it; null where there is none.</summary>
    public string? Locate(string dotted)
    {
        string? origin = null;
        object? here = Root;
        foreach (var part in dotted.Split('.'))
        {
            var bracket = part.IndexOf('[');
            var entry = (here as TomlTable)?[bracket < 0 ? part : part[..bracket]];
            if (entry is not null && bracket >= 0 && int.TryParse(part[(bracket + 1)..].TrimEnd(']'), out var index))
                entry = entry.Value is List<TomlEntry> list && index < list.Count ? list[index] : null;
            if (entry is null) break;
            (origin, here) = (entry.Origin, entry.Value);
        }
        return origin;
    }

    private void Fill(TomlTable table, SyntaxList<KeyValueSyntax> items, string name)
    {
        foreach (var item in items)
        {
            if (item.Key is not { } key) continue;
            var path = Parts(key);
            Descend(table, path[..^1], At(name, item.Span))[path[^1]] = Read(item.Value, name) with { Origin = At(name, item.Span) };
        }
    }

    private static TomlEntry Read(ValueSyntax? value, string name)
    {
        var origin = value is null ? name : At(name, value.Span);
        switch (value)
        {
            case IntegerValueSyntax whole: return new(whole.Value, origin);
            case FloatValueSyntax number: return new(number.Value, origin);
            case BooleanValueSyntax flag: return new(flag.Value, origin);
            case StringValueSyntax text: return new(text.Value ?? "", origin);
            case ArraySyntax array: return new(array.Items.Select(item => Read(item.Value, name)).ToList(), origin);
            case InlineTableSyntax inline:
                var table = new TomlTable();
                foreach (var item in inline.Items)
                    if (item.KeyValue is { Key: { } key } pair) table[string.Join('.', Parts(key))] = Read(pair.Value, name);
                return new(table, origin);
            default: return new(value?.ToString().Trim() ?? "", origin);
        }
    }

    private static TomlEntry Relabel(TomlEntry entry) => entry.Value is List<TomlEntry> list
        ? new(list.Select(Relabel).ToList(), "--set") : entry with { Origin = "--set" };

    private TomlTable Descend(TomlTable table, string[] path, string origin)
    {
        for (var i = 0; i < path.Length; i++)
        {
            var entry = table[path[i]];
            if (entry?.Value is List<TomlEntry> list)   // [[datasets]] then [datasets.x]: the last one; --set names one by number
            {
                var chosen = i + 1 < path.Length && int.TryParse(path[i + 1], out var index) ? Math.Clamp(index, 0, list.Count - 1) : list.Count - 1;
                if (i + 1 < path.Length && int.TryParse(path[i + 1], out _)) i++;
                if (chosen >= 0 && list[chosen].Value is TomlTable inside)
                {
                    table = inside;
                    continue;
                }
            }
            if (entry?.Value is not TomlTable next) table[path[i]] = new(next = new(), origin);
            table = next;
        }
        return table;
    }

    private static TomlTable Append(TomlTable parent, string key, string origin)
    {
        if (parent[key]?.Value is not List<TomlEntry> list) parent[key] = new(list = [], origin);
        var table = new TomlTable();
        list.Add(new(table, origin));
        return table;
    }

    private static string[] Parts(KeySyntax key) =>
        [Part(key.Key), .. key.DotKeys.Select(dot => Part(dot.Key))];

    private static string Part(BareKeyOrStringValueSyntax? part) => part switch
    {
        StringValueSyntax text => text.Value ?? "",
        BareKeySyntax bare => bare.Key?.Text ?? "",
        _ => "",
    };

    private static string At(string name, SourceSpan span) => $"{name}({span.Start.Line + 1},{span.Start.Column + 1})";
}
