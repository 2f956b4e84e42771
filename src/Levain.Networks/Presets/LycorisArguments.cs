using System.Globalization;
using Levain.Core;

namespace Levain.Networks;

/// <summary>LyCORIS' names of families and of their arguments, in command lines and preset files.</summary>
public static class LycorisArguments
{
    /// <summary>LyCORIS' algorithms and our families.</summary>
    public static IReadOnlyDictionary<string, string> Families { get; } = new Dictionary<string, string>
    {
        ["lora"] = "locon",
        ["locon"] = "locon",
        ["loha"] = "loha",
        ["lokr"] = "lokr",
        ["dylora"] = "dylora",
        ["glora"] = "glora",
        ["full"] = "full",
        ["diag-oft"] = "diag-oft",
        ["boft"] = "boft",
        ["ia3"] = "ia3",
    };

    // What a module takes; kohya's command line spells two of them otherwise.
    private static readonly Dictionary<string, Func<AdapterForm, object, AdapterForm?>> Forms = new()
    {
        ["use_tucker"] = (form, value) => Flag(value) is { } flag ? form with { Tucker = flag } : null,
        ["use_cp"] = (form, _) => form,                // modules have another name for it, and pass over this one
        ["rank_dropout_scale"] = (form, value) => Flag(value) is { } flag ? form with { ScaledRankDropout = flag } : null,
        ["use_scalar"] = (form, value) => Flag(value) is { } flag ? form with { Scalar = flag } : null,
        ["weight_decompose"] = (form, value) => Flag(value) is { } flag ? form with { Dora = !flag ? DoraAxis.None : form.Dora == DoraAxis.None ? DoraAxis.Output : form.Dora } : null,
        ["wd_on_out"] = (form, value) => Flag(value) is { } flag ? form.Dora == DoraAxis.None ? form : form with { Dora = flag ? DoraAxis.Output : DoraAxis.Input } : null,
        ["bypass_mode"] = (form, value) => Flag(value) is { } flag ? form with { Bypass = flag } : null,
        ["rs_lora"] = (form, value) => Flag(value) is { } flag ? form with { RankStabilized = flag } : null,
        ["factor"] = (form, value) => Whole(value) is { } factor ? form with { Factor = factor } : null,
        ["decompose_both"] = (form, value) => Flag(value) is { } flag ? form with { DecomposeBoth = flag } : null,
        ["full_matrix"] = (form, value) => Flag(value) is { } flag ? form with { FullMatrix = flag } : null,
        ["unbalanced_factorization"] = (form, value) => Flag(value) is { } flag ? form with { Unbalanced = flag } : null,
        ["block_size"] = (form, value) => Whole(value) is { } block ? form with { Block = block } : null,
        ["constraint"] = (form, value) => Number(value) is { } constraint ? form with { Constraint = constraint } : null,
        ["rescaled"] = (form, value) => Flag(value) is { } flag ? form with { Rescaled = flag } : null,
        ["train_on_input"] = (form, value) => Flag(value) is { } flag ? form with { OnInput = flag } : null,
    };

    /// <summary>The family that an algorithm's name stands for; null where there is none, which is a problem.</summary>
    public static string? Family(string algorithm, Problems problems, string where)
    {
        if (Families.TryGetValue(algorithm.ToLowerInvariant(), out var family)) return family;
        problems.Add(where, $"is \"{algorithm}\".", Nearest.Advice(algorithm, [.. Families.Keys]));
        return null;
    }

    /// <summary>An entry of <c>module_algo_map</c> or <c>name_algo_map</c>.</summary>
    /// <param name="lenient">Whether arguments that no module knows are passed over, as LyCORIS does.</param>
    internal static AdapterChange Change(TomlTable arguments, Problems problems, bool lenient)
    {
        var change = new AdapterChange();
        // A decomposition is asked for before its axis, whatever the file's order.
        foreach (var name in arguments.Keys.OrderBy(name => name == "wd_on_out"))
        {
            var entry = arguments[name]!;
            var where = $"{entry.Origin} {name}";
            switch (name)
            {
                case "algo" when entry.Value is string algorithm:
                    change = change with { Family = Family(algorithm, problems, where) };
                    continue;
                case "dim" when Long(entry.Value) is { } rank:
                    change = change with { Rank = rank };
                    continue;
                case "alpha" when Number(entry.Value) is { } alpha:
                    change = change with { Alpha = alpha };
                    continue;
            }
            if (!Forms.TryGetValue(name, out var set))
            {
                if (!lenient || name is "algo" or "dim" or "alpha") problems.Add(where, "is not an argument of a module.", Nearest.Advice(name, ["algo", "dim", "alpha", .. Forms.Keys]));
                continue;
            }
            if (set(new(), entry.Value) is null)
            {
                problems.Add(where, $"is {entry.Described}.", "Give true or false, or a number.");
                continue;
            }
            var before = change.Form;
            change = change with { Form = form => set(before?.Invoke(form) ?? form, entry.Value)! };
        }
        return change;
    }

    private static bool? Flag(object value) => value switch { bool flag => flag, string text => !text.Equals("false", StringComparison.OrdinalIgnoreCase), _ => null };

    private static int? Whole(object value) => Long(value) is >= int.MinValue and <= int.MaxValue and var whole ? (int)whole : null;

    // LyCORIS' own example asks for a dim of ten billion, to have LoKr's factors whole.
    private static long? Long(object value) => value switch
    {
        long whole => whole,
        string text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
        _ => null,
    };

    private static double? Number(object value) => value switch
    {
        long whole => whole,
        double number => number,
        string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) => number,
        _ => null,
    };
}
