using System.Globalization;
using System.Text;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>
/// Values of kohya's options, read by the rules of Python's argparse: the last one wins, <c>--name=value</c>, names may be cut short
/// while they stay unmistakable, and a list takes everything up to the next option. A <c>--config_file</c> fills what the command line leaves out.
/// </summary>
internal sealed class KohyaCommandLine
{
    private readonly Dictionary<string, object> given = [];
    private readonly HashSet<string> wholes = [];
    private readonly List<string> passed = [];
    private readonly Problems problems;

    private KohyaCommandLine(KohyaTrainers trainer, Problems problems) => (Trainer, this.problems) = (trainer, problems);

    /// <summary>Whose options they are.</summary>
    public KohyaTrainers Trainer { get; }

    /// <param name="read">Reads a file that an option names.</param>
    public static KohyaCommandLine Read(KohyaTrainers trainer, IReadOnlyList<string> arguments, Func<string, string> read, Problems problems)
    {
        var line = new KohyaCommandLine(trainer, problems);
        line.ReadArguments(arguments);
        if (line.ConfigFile is { } file && !line.Flag("output_config")) line.ReadFile(file, read);
        return line;
    }

    /// <summary>The options that were given, in order.</summary>
    public IEnumerable<KohyaOption> Given => given.Keys.Select(name => Option(name)!);

    /// <summary>Those of them that change nothing here, where they ask for something.</summary>
    public IEnumerable<KohyaOption> Idle => Given.Where(option => option.Standing is OptionStanding.NoEffect && Value(option.Name) is not false && !Equals(Value(option.Name), option.Default));

    /// <summary>What a config file holds beside options, one sentence each: kohya takes no notice of it.</summary>
    public IReadOnlyList<string> Passed => passed;

    /// <summary><c>--config_file</c>, with its ending; null where it is not given.</summary>
    public string? ConfigFile => Text("config_file") is not { Length: > 0 } file ? null : file.EndsWith(".toml", StringComparison.OrdinalIgnoreCase) ? file : file + ".toml";

    /// <summary>A config file of what was given, but for defaults and what <c>--output_config</c> leaves out.</summary>
    public string ToConfig()
    {
        var text = new StringBuilder();
        foreach (var (name, value) in given.Where(pair => pair.Key is not ("config_file" or "output_config" or "wandb_api_key")))
        {
            var written = value is StepsOrShare steps ? steps.Write() : value;
            var usual = Option(name)!.Default ?? (value is StepsOrShare ? 0L : null);
            if (written is long or double && usual is long or double ? Convert.ToDouble(written, null) == Convert.ToDouble(usual, null) : Equals(written, usual)) continue;       // 1 is 1.0
            text.Append(CultureInfo.InvariantCulture, $"{name} = {TomlWriter.Literal(written)}\n");
        }
        return text.ToString();
    }

    /// <summary>Options whose value is a whole number in a config file, which keeps it one whatever the option's kind; <c>network_alpha</c> is one by default.</summary>
    public IReadOnlySet<string> Wholes => given.ContainsKey("network_alpha") ? wholes : new HashSet<string>(wholes) { "network_alpha" };

    public bool Has(string name) => given.ContainsKey(name);

    public bool Flag(string name) => Value(name) is true;

    public int? Whole(string name) => Value(name) is long whole ? (int)Math.Clamp(whole, int.MinValue, int.MaxValue) : null;

    public long? Long(string name) => Value(name) as long?;

    public double? Number(string name) => Value(name) switch { double number => number, long whole => whole, _ => null };

    public string? Text(string name) => Value(name) as string;

    public IReadOnlyList<string>? Texts(string name) => Value(name) as List<string>;

    public IReadOnlyList<double>? Numbers(string name) => Value(name) as List<double>;

    /// <summary>What was given, else the option's default; null where the trainer has no such option.</summary>
    public object? Value(string name) => given.TryGetValue(name, out var value) ? value : Option(name)?.Default;

    private KohyaOption? Option(string name) => KohyaOptions.Find(name, Trainer);

    private IEnumerable<KohyaOption> Options => KohyaOptions.All.Where(option => option.Of.HasFlag(Trainer));

    private void ReadArguments(IReadOnlyList<string> arguments)
    {
        for (var i = 0; i < arguments.Count; i++)
        {
            var argument = arguments[i];
            if (!argument.StartsWith("--"))
            {
                problems.Add(argument, "stands alone.", "Every value follows an option, and one with blanks needs quotes.");
                continue;
            }
            var equals = argument.IndexOf('=');
            var name = equals < 0 ? argument[2..] : argument[2..equals];
            var following = i;
            while (following + 1 < arguments.Count && !IsOption(arguments[following + 1])) following++;
            if (Match(name) is not { } option)
            {
                i = following;
                continue;
            }
            var value = equals < 0 ? null : argument[(equals + 1)..];
            switch (option.Kind)
            {
                case OptionKind.Flag:
                    problems.Require(value is null, $"--{option.Name}", $"is given \"{value}\".", "It is a switch and takes no value.");
                    given[option.Name] = true;
                    break;
                case OptionKind.Texts or OptionKind.Numbers:
                    Take(option, value is null ? [.. arguments.Skip(i + 1).Take(following - i)] : [value]);
                    if (value is null) i = following;
                    break;
                default:
                    if (value is not null) Take(option, [value]);
                    else if (following > i) Take(option, [arguments[++i]]);
                    else problems.Add($"--{option.Name}", "has no value.", "Write its value behind it.");
                    break;
            }
        }
    }

    // argparse: what begins with a dash is an option, unless it is a number, holds a blank, or is a dash alone.
    private bool IsOption(string argument) =>
        argument.Length > 1 && argument[0] == '-' && !argument.Contains(' ') && !double.TryParse(argument, NumberStyles.Float, CultureInfo.InvariantCulture, out _)
        || argument.StartsWith("--") && Option(argument[2..].Split('=')[0]) is not null;

    private KohyaOption? Match(string name)
    {
        if (Option(name) is { } exact) return exact;
        var longer = Options.Where(option => option.Name.StartsWith(name, StringComparison.Ordinal)).ToList();
        if (longer.Count == 1 && name.Length > 0) return longer[0];
        if (longer.Count > 1 && name.Length > 0) problems.Add($"--{name}", $"could be {string.Join(", ", longer.Take(4).Select(option => $"--{option.Name}"))}.", "Write the name in full.");
        else problems.Add($"--{name}", $"is not an option of {Trainer.FileName()}.", Instead(name));
        return null;
    }

    private string Instead(string name)
    {
        var others = KohyaTrainerNames.All.Where(trainer => KohyaOptions.Find(name, trainer.Key) is not null).Select(trainer => trainer.Value).ToList();
        if (others.Count > 0) return $"Leave it out: it is one of {string.Join(", ", others)}.";
        return Nearest.Advice(name, [.. Options.Select(option => option.Name)]) is var advice && advice.StartsWith("Known") ? "See docs/kohya-options.md for all of them." : advice;
    }

    private void Take(KohyaOption option, IReadOnlyList<string> texts)
    {
        if (option.Kind is OptionKind.Texts)
        {
            given[option.Name] = texts.ToList();
            return;
        }
        if (option.Kind is OptionKind.Numbers)
        {
            if (texts.Select(Double).ToList() is var numbers && numbers.All(number => number is not null)) given[option.Name] = numbers.Select(number => number!.Value).ToList();
            else problems.Add($"--{option.Name}", $"is \"{string.Join(' ', texts)}\".", "Give numbers.");
            return;
        }
        var text = texts[0];
        object? value = option.Kind switch
        {
            OptionKind.Whole => long.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole : null,
            OptionKind.Number => Double(text),
            // A bare 0 is no whole number to argparse: kohya keeps and records 0.0.
            OptionKind.StepsOrShare => StepsOrShare.Parse(text) is { Steps: 0 } ? StepsOrShare.Part(0) : StepsOrShare.Parse(text),
            _ => text,
        };
        if (value is null)
            problems.Add($"--{option.Name}", $"is \"{text}\".", $"Give {option.Kind switch { OptionKind.Whole => "a whole number", OptionKind.Number => "a number", _ => StepsOrShare.Form }}.");
        else if (option.Choices.Count > 0 && !option.Choices.Contains(text.Trim()))
            problems.Add($"--{option.Name}", $"is \"{text}\".", Nearest.Advice(text, option.Choices));
        else given[option.Name] = value;
    }

    // A config file's sections are cosmetic: their keys are options.
    private void ReadFile(string file, Func<string, string> read)
    {
        string text;
        try
        {
            text = read(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("--config_file", $"names {file}, which cannot be read.", "Name a TOML file that is there.");
            return;
        }
        var onCommandLine = given.Keys.ToHashSet();
        Fill(TomlDocument.Parse(text, Path.GetFileName(file), problems).Root, onCommandLine);
    }

    private void Fill(TomlTable table, HashSet<string> onCommandLine)
    {
        foreach (var key in table.Keys)
        {
            var entry = table[key]!;
            if (entry.Value is TomlTable section)
            {
                Fill(section, onCommandLine);
                continue;
            }
            if (Option(key) is not { } option)
            {
                passed.Add($"{entry.Origin} {key} counts for nothing, as in kohya: it is not an option of {Trainer.FileName()}. {Instead(key)}");
                continue;
            }
            if (onCommandLine.Contains(key)) continue;
            wholes.Remove(key);
            switch (entry.Value)
            {
                case long flag when option.Kind is OptionKind.Flag: given[key] = flag != 0; break;
                case long whole when option.Kind is OptionKind.Number: given[key] = whole; break;
                case string or long when option is { Standing: OptionStanding.NoEffect, Choices.Count: > 0 }: given[key] = entry.Value; break;     // only argparse knows choices
                case string form when key == "save_model_as" && Trainer is KohyaTrainers.DreamBooth or KohyaTrainers.FineTune: given[key] = form; break;
                case (long)ModelSettings.ShortCaption when key == "max_token_length": given[key] = entry.Value; break;
                case bool flag when option.Kind is OptionKind.Flag: given[key] = flag; break;
                // No parser has seen these: what is written with a point is a share, however large.
                case long and >= 0 and <= int.MaxValue and var steps when option.Kind is OptionKind.StepsOrShare: given[key] = StepsOrShare.Of((int)steps); break;
                case double and >= 0 and < double.PositiveInfinity and var share when option.Kind is OptionKind.StepsOrShare: given[key] = StepsOrShare.Part(share); break;
                case List<TomlEntry> list when option.Kind is OptionKind.Texts or OptionKind.Numbers: Take(option, [.. list.Select(item => PythonText.Str(item.Value))]); break;
                case List<TomlEntry> list when key == "resolution": Take(option, [string.Join(',', list.Select(item => PythonText.Str(item.Value)))]); break;
                case long or double or string when option.Kind is not OptionKind.Flag: Take(option, [PythonText.Str(entry.Value)]); break;
                default: problems.Add($"{entry.Origin} {key}", $"is {entry.Described}.", option.Kind is OptionKind.Flag ? "Give true or false." : "Give a text or a number."); break;
            }
            if (entry.Value is long or List<TomlEntry> and [{ Value: long }, ..]) wholes.Add(key);
        }
    }

    private static double? Double(string text) => double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
