using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Levain.Core;
using Levain.Training;
using Levain.Training.Settings;

namespace Levain.Tests.Docs;

/// <summary>Walks every table of a run file and prints keys, defaults and the documentation of the properties they fill.</summary>
internal sealed partial class RunFileReference : TomlMap
{
    private readonly StringBuilder text = new();
    private readonly XDocument docs = XDocument.Load(Path.ChangeExtension(typeof(RunSettings).Assembly.Location, ".xml"));
    private Type table = typeof(RunSettings);
    private string path = "";

    /// <summary>The page.</summary>
    public static string Print()
    {
        var reference = new RunFileReference();
        reference.text.Append("""
            # The run file

            Every setting of a run file, with its default. Relative paths start from the file's folder. `--set table.key=value` goes before the file.
            A setting that is misspelt, or of the wrong kind, is told with its line; nothing is passed over. This page is printed from the settings records.

            | at the top | default | |
            |---|---|---|

            """);
        RunSettings.Map(new(), reference);
        return reference.text.ToString();
    }

    /// <summary>The page of all optimizers.</summary>
    public static string PrintOptimizers()
    {
        var reference = new RunFileReference();
        reference.text.Append("""
            # Optimizers

            `[optimizer] type` is one of these names; kohya's `--optimizer_type` takes them too, and its `--optimizer_args` the keys below them.
            Bytes are what an optimizer remembers of each fp32 number beside the number and its gradient, here of a 1024×1024 matrix.
            This page is printed from the catalog and the records of options.

            | type | what it does | bytes | learning rates |
            |---|---|---|---|

            """);
        foreach (var optimizer in Optimizers.All)
            reference.text.Append(CultureInfo.InvariantCulture, $"| `{optimizer.Name}` | {optimizer.Summary} | {Bytes(optimizer):0.##} | {optimizer.Rates switch
            {
                RateUse.Length => "one for each group",
                RateUse.Multiplier => "one for all groups, 1 as a rule",
                _ => "the first group's for all, 1 as a rule",
            }} |\n");
        foreach (var optimizer in Optimizers.All)
        {
            reference.text.Append($"\n## `{optimizer.Name}`\n\n{optimizer.Summary}. [Source]({optimizer.Source}); kohya's `{optimizer.Class}`{(optimizer.AlsoKnownAs.Count > 0 ? $", also called `{string.Join("`, `", optimizer.AlsoKnownAs)}`" : "")}.");
            reference.text.Append($"{(optimizer.Advice.Length > 0 ? " " + optimizer.Advice : "")}\n\n| key | default | |\n|---|---|---|\n");
            reference.table = optimizer.Defaults.GetType();
            optimizer.Defaults.Map(reference);
        }
        return reference.text.ToString();
    }

    private static double Bytes(Optimizer optimizer)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        const long side = 1024;
        var values = TorchSharp.torch.zeros(side * side);
        using var rule = optimizer.Defaults.Create(new(values, values, [new(1, [new(0, [side, side])])], 1));
        return rule.MemoryBytes / (double)(side * side);
    }

    public override bool? OptionalFlag(string key, bool? now) => Row(key, now, now is { } flag ? flag ? "true" : "false" : null);

    protected override long? OptionalLong(string key, long? now, long low, long high) => Row(key, now, now?.ToString(CultureInfo.InvariantCulture));

    public override double? OptionalNumber(string key, double? now) => Row(key, now, now?.ToString("R", CultureInfo.InvariantCulture));

    public override string? OptionalText(string key, string? now) => Row(key, now, string.IsNullOrEmpty(now) ? null : $"\"{now}\"");

    public override string? OptionalPath(string key, string? now) => Row(key, now, now is null ? null : $"\"{now}\"");

    public override T? OptionalChoice<T>(string key, T? now)
    {
        Line(key, now is { } choice ? $"\"{Spell(choice.ToString())}\"" : null, " One of " + string.Join(", ", Names<T>().Select(name => $"`{name}`")) + ".");
        return now;
    }

    public override IReadOnlyList<int>? Wholes(string key, IReadOnlyList<int>? now) => Row(key, now, null);

    public override IReadOnlyList<double>? Numbers(string key, IReadOnlyList<double>? now) =>
        Row(key, now, now is null ? null : $"[{string.Join(", ", now.Select(number => number.ToString("R", CultureInfo.InvariantCulture)))}]");

    public override IReadOnlyList<string>? Texts(string key, IReadOnlyList<string>? now) => Row(key, now, null);

    public override T? Own<T>(string key, T? now, Func<object, T?> read, Func<T, object> write, string form) where T : class
    {
        Line(key, now is null ? null : $"{write(now)}", $" Give {form}.");
        return now;
    }

    public override bool HasTable(string key)
    {
        Line(key, null, "");
        return false;
    }

    public override T Table<T>(string key, T now, Func<T, TomlMap, T> map)
    {
        Enter($"[{Join(key)}]", key, () => map(now, this), typeof(T));
        return now;
    }

    public override T Part<T>(T now, T usual, Func<T, TomlMap, T> map)
    {
        var outer = table;
        table = now.GetType();
        map(now, this);
        table = outer;
        return now;
    }

    public override void Unneeded(string key) { }

    public override IReadOnlyList<T> Tables<T>(string key, IReadOnlyList<T> now, Func<T> fresh, Func<T, TomlMap, T> map)
    {
        Enter($"[[{Join(key)}]]", key, () => map(fresh(), this), typeof(T));
        return now;
    }

    private void Enter(string header, string key, Action map, Type type)
    {
        var (outerTable, outerPath) = (table, path);
        text.Append($"\n## `{header}`\n\n{Summary(table, key)}\n\n| key | default | |\n|---|---|---|\n");
        (table, path) = (type, Join(key));
        map();
        (table, path) = (outerTable, outerPath);
    }

    private T Row<T>(string key, T now, string? shown)
    {
        Line(key, shown, "");
        return now;
    }

    private void Line(string key, string? shown, string more) => text.Append($"| `{key}` | {(shown is null ? "" : $"`{shown}`")} | {Summary(table, key)}{more} |\n");

    private string Join(string key) => path.Length == 0 ? key : $"{path}.{key}";

    // compat = Compatibility and the like: keys are the snake case of their properties, with one exception of runs.
    private string Summary(Type type, string key)
    {
        var wanted = key == "compat" ? "compatibility" : key.Replace("_", "");
        foreach (var owner in new[] { type, typeof(SubsetSettings), typeof(DatasetSettings) })
            if (owner.GetProperties().FirstOrDefault(property => property.Name.Equals(wanted, StringComparison.OrdinalIgnoreCase) || property.Name.Equals("Has" + wanted, StringComparison.OrdinalIgnoreCase)) is { } found)
                return Plain(docs.Descendants("member").First(member => (string?)member.Attribute("name") == $"P:{found.DeclaringType!.FullName}.{found.Name}").Element("summary")!);
        throw new InvalidOperationException($"No property of {type.Name} is called like the key '{key}'.");
    }

    private static string Plain(XElement summary)
    {
        var plain = new StringBuilder();
        foreach (var node in summary.Nodes())
            plain.Append(node switch
            {
                XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
                XElement { Name.LocalName: "see" } see => $"`{Spell(((string)see.Attribute("cref")!).Split('.')[^1])}`",
                XText words => words.Value,
                _ => "",
            });
        return Blanks().Replace(plain.ToString(), " ").Trim().Replace("|", "\\|");
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
