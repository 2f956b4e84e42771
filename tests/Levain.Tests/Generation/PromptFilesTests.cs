using System.Text.Json;
using Levain.Core;
using Levain.Generation;
using Xunit;

namespace Levain.Tests.Generation;

/// <summary>Styles files and prompts files.</summary>
public sealed class PromptFilesTests(ITestOutputHelper output)
{
    private static JsonElement Recorded => Golden.Json("prompts", "styles.json");

    [Fact]
    public void Styles_are_read_as_the_webui_reads_them()
    {
        var expected = Recorded.GetProperty("loaded").EnumerateArray().Select(style => new PromptStyle(style[0].GetString()!, style[1].GetString()!, style[2].GetString()!));
        Assert.Equal(expected, Styles().All);
    }

    [Fact]
    public void Styles_are_joined_as_the_webui_joins_them()
    {
        foreach (var row in Recorded.GetProperty("apply").EnumerateArray())
        {
            var (prompt, negative) = Styles().Apply(row.GetProperty("prompt").GetString()!, row.GetProperty("negative").GetString()!, row.GetProperty("styles").EnumerateArray().Select(name => name.GetString()!));
            Assert.Equal(row.GetProperty("result").EnumerateArray().Select(text => text.GetString()), [prompt, negative]);
        }
    }

    [Fact]
    public void Styles_are_found_again_in_a_finished_prompt()
    {
        foreach (var row in Recorded.GetProperty("extract").EnumerateArray())
        {
            var (names, prompt, negative) = Styles(old: false).Extract(row.GetProperty("prompt").GetString()!, row.GetProperty("negative").GetString()!);
            var result = row.GetProperty("result");
            Assert.Equal(result[0].EnumerateArray().Select(name => name.GetString()), names);
            Assert.Equal((result[1].GetString(), result[2].GetString()), (prompt, negative));
        }
    }

    [Fact]
    public void Styles_are_written_as_the_webui_writes_them()
    {
        var styles = Styles(old: false);
        styles.Add(new PromptStyle(Recorded.GetProperty("saved_after_adding").GetString()!, "say \"hi\"\nsecond", ""));
        Assert.Equal(Recorded.GetProperty("saved").GetString(), styles.ToCsv());
    }

    [Fact]
    public void A_style_that_is_not_there_is_told_with_near_names()
    {
        var problems = new Problems();
        Styles().Check(["Mastr", "None", "Film"], problems);
        Assert.Equal("style: is 'Mastr'. Did you mean 'Master'?", Assert.Single(problems.All).ToString());
    }

    [Fact]
    public void Lines_of_a_prompts_file_are_options_or_prompts()
    {
        var (exact, whole) = (0, 0);
        foreach (var row in Golden.Json("prompts", "prompts_from_file.json").GetProperty("cases").EnumerateArray())
        {
            var (text, expected) = (row.GetProperty("line").GetString()!, row.GetProperty("args"));
            var line = PromptLine.Parse(text);
            if (expected.TryGetProperty("error", out _))
            {
                Assert.NotNull(line.Mistake);
                Assert.Equal(text, line.Options["prompt"]);      // the webui too uses such a line whole
                whole++;
                continue;
            }
            Assert.Null(line.Mistake);
            Assert.Equal(expected.EnumerateObject().Select(pair => pair.Name), line.Options.Keys);
            foreach (var (name, value) in expected.EnumerateObject().Select(pair => (pair.Name, pair.Value)))
                Assert.Equal(name == "sd_model" ? value.GetString()!.Replace("closest match of ", "") : value.ToString(), line.Options[name] is bool flag ? flag.ToString() : FormattableString.Invariant($"{line.Options[name]}"));
            exact++;
        }
        output.WriteLine($"{exact} exact, {whole} whole");
    }

    [Fact]
    public void A_line_changes_what_all_lines_share()
    {
        var line = Assert.Single(PromptLine.Read("\n  --prompt a cat --steps 5 --sampler_name k_euler_a --width 320 --n_iter 3 --styles Film,Master --subseed 9 --subseed_strength 0.25 --tiling true --restore_faces true  \n"));
        var (request, notes) = line.Apply(new() { Prompt = "shared", NegativePrompt = "bad", Steps = 30 });
        Assert.Equal(("a cat", "bad", 5, "Euler a", "320x512", 3), (request.Prompt, request.NegativePrompt, request.Steps, request.Sampler, request.Size.ToString(), line.Count));
        Assert.Equal(["Film", "Master"], request.Styles);
        Assert.Equal((9, 0.25), (request.SeedOptions.Variation!.Seed, request.SeedOptions.Variation.Strength));
        Assert.Equal(Joined.Both, request.Joined);
        Assert.Equal("--restore_faces True has no meaning here and was left out.", Assert.Single(notes));
    }

    private static PromptStyles Styles(bool old = true)
    {
        var styles = new PromptStyles();
        styles.Add(Recorded.GetProperty("csv").GetString()!);
        if (old) styles.Add(Recorded.GetProperty("old_csv").GetString()!);
        return styles;
    }
}
