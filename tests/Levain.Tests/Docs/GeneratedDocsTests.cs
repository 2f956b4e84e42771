using System.Text;
using Levain.Core;
using Levain.Generation;
using Levain.Networks;
using Levain.Training.Kohya;
using Xunit;

namespace Levain.Tests.Docs;

/// <summary>Pages of docs/ that are printed from lists in code. LEVAIN_WRITE_DOCS=1 writes them anew.</summary>
public sealed class GeneratedDocsTests
{
    [Fact]
    public void Compat_md_is_the_list_of_defects() => Same("compat.md", CompatPage());

    [Fact]
    public void Kohya_options_md_is_the_list_of_options() => Same("kohya-options.md", OptionsPage());

    [Fact]
    public void Run_file_md_is_the_settings_records() => Same("run-file.md", RunFileReference.Print());

    [Fact]
    public void Optimizers_md_is_the_catalog() => Same("optimizers.md", RunFileReference.PrintOptimizers());

    [Fact]
    public void Networks_md_is_the_catalog_of_families() => Same("networks.md", NetworksPage());

    [Fact]
    public void Grids_md_is_the_catalog_of_axes() => Same("grids.md", GridsPage());

    [Fact]
    public void Every_flag_of_the_switch_is_listed_once()
    {
        var flags = typeof(Compat).GetProperties().Where(property => property.PropertyType == typeof(bool)).Select(property => property.Name);
        Assert.Equal(flags.Order(), KohyaDefects.All.Select(defect => defect.Flag).OfType<string>().Order());
    }

    [Fact]
    public void The_switch_sets_every_flag() =>
        Assert.All(typeof(Compat).GetProperties().Where(property => property.PropertyType == typeof(bool)), flag =>
        {
            Assert.True((bool)flag.GetValue(Compat.Kohya)!, flag.Name);
            Assert.False((bool)flag.GetValue(Compat.Sound)!, flag.Name);
        });

    private static string CompatPage()
    {
        var text = new StringBuilder("""
            # `compat = "kohya"`

            A run file with `compat = "kohya"` at its top gives kohya's numbers: the same order of random numbers, the same losses, the same file.
            That includes what kohya does by mistake. Without the switch the sound thing is done. The ids are those of our own notes on
            kohya-ss/sd-scripts 48d368f; this page is printed from `KohyaDefects` and covers what training a LoRA for SD 1.x meets.

            | id | kohya | default | with the switch |
            |---|---|---|---|

            """);
        foreach (var defect in KohyaDefects.All)
            text.Append($"| {defect.Id} | {defect.Kohya} | {defect.Default} | {defect.Treatment switch
            {
                DefectTreatment.Repeated => "as kohya" + (defect.Flag is { } flag ? $" (`{flag}`)" : ""),
                DefectTreatment.Kept => "as kohya",
                _ => "as the default",
            }} |\n");
        return text.ToString();
    }

    private static string NetworksPage()
    {
        var text = new StringBuilder("""
            # Families of networks

            What `network.family` can be, and what the LoRA guide and each family's own documents say of it. Settings are in
            [run-file.md](run-file.md); kohya's command line takes the first four as `--network_module networks.lora`, `networks.lora_fa`,
            `networks.dylora`, `networks.oft`, the others as `lycoris.kohya` with `algo=`. This page is printed from the catalogs of families and presets.

            | family | what it is | when and how |
            |---|---|---|

            """);
        foreach (var family in AdapterFamilies.All.OrderBy(family => family.Origin).ThenBy(family => family.Name == "lora" ? "" : family.Name, StringComparer.Ordinal))
            text.Append($"| [`{family.Name}`]({family.Source}) | {family.Summary} | {family.Advice} |\n");
        text.Append("""

            # Presets of layers

            What `network.preset` can be for LyCORIS' families. Preset files of LyCORIS (`network.preset_file`) say the same in TOML, with other families
            for single layers in `module_algo_map` and `name_algo_map`.

            | preset | layers |
            |---|---|

            """);
        foreach (var preset in LayerPresets.All) text.Append($"| `{preset.Name}` | {preset.Summary} |\n");
        return text.ToString();
    }

    private static string GridsPage()
    {
        var text = new StringBuilder("""
            # Grids

            `levain grid --base MODEL --prompt TEXT --x 'AXIS=VALUES' --y … --z …` draws every combination. Stopped, it goes on where it was: its
            pictures lie in `NAME-cells`, what is known about them in `NAME.json`.

            | values | are |
            |---|---|
            | `a, "b, c"` | texts; commas and line breaks part, quotes keep, `""` within quotes is a quote |
            | `1-5`, `10-1 (-3)`, `0-1 (+0.25)` | a range, by steps of 1 or as given |
            | `1-100 [4]` | so many numbers, evenly spread |

            A first seed below 0 is drawn once for the whole grid. `Prompt S/R` replaces its first value, which must stand in the prompt, by each:
            `--x 'Prompt S/R=LORA,<lora:mochi-000004:0.8>,<lora:mochi:0.8>' --prompt "mochi, 1girl, LORA"`. The four axes of blocks change the preset
            `XYZ` of `<lora:NAME:1:lbw=XYZ>` (and `ZYX`, 1 minus it). This page is printed from the catalog of axes.

            | axis | values | what it changes |
            |---|---|---|

            """);
        foreach (var axis in GridAxes.All.OrderBy(axis => axis.Name, StringComparer.Ordinal))
            text.Append($"| {axis.Name} | {axis.Kind switch { AxisKind.Whole => "whole numbers", AxisKind.Number => "numbers", AxisKind.Order => "texts, every order", _ => "texts" }} | {axis.Summary} |\n");
        text.Append("\nAxes of the webui that are left out here:\n\n| axis | why |\n|---|---|\n");
        foreach (var (name, reason) in RefusedAxes.All) text.Append($"| {name} | {reason} |\n");
        return text.ToString();
    }

    private static string OptionsPage()
    {
        var text = new StringBuilder($"""
            # Options of kohya's trainers

            What becomes of each option of `train_network.py`, `train_db.py`, `fine_tune.py` and `train_textual_inversion.py` (sd-scripts 48d368f). *Refused* ones are told
            by name before anything is loaded, unless they are given their default. This page is printed from `KohyaOptions`.

            | option | default | of | here |
            |---|---|---|---|

            """);
        foreach (var option in KohyaOptions.All.OrderBy(option => option.Name, StringComparer.Ordinal))
            text.Append($"| `--{option.Name}` | {(option.Default is null or "" ? "" : $"`{PythonText.Str(option.Default)}`")} | {(option.Of is KohyaTrainers.All ? "all" : string.Join(", ", KohyaTrainerNames.All.Where(trainer => option.Of.HasFlag(trainer.Key)).Select(trainer => $"`{trainer.Value[..^3]}`")))} | {option.Standing switch
            {
                OptionStanding.Supported => $"`{option.Says}`",
                OptionStanding.NoEffect => $"no effect: {option.Says}",
                _ => $"refused: {option.Says}",
            }} |\n");
        return text.ToString();
    }

    private static void Same(string page, string printed)
    {
        var path = Path.Combine(Golden.Root, "..", "..", "docs", page);
        if (Environment.GetEnvironmentVariable("LEVAIN_WRITE_DOCS") == "1") File.WriteAllText(path, printed);
        Assert.True(File.Exists(path) && File.ReadAllText(path).ReplaceLineEndings("\n") == printed.ReplaceLineEndings("\n"), $"docs/{page} is not what the code says: run the tests with LEVAIN_WRITE_DOCS=1.");
    }
}
