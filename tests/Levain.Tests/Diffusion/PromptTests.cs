using System.Text.Json;
using Levain.Diffusion;
using Xunit;

namespace Levain.Tests.Diffusion;

public sealed class PromptTests(ITestOutputHelper output)
{
    private const double Digits = 1e-15;      // products of doubles in another order

    [Fact]
    public void Attention_is_read_as_the_webui_and_kohya_read_it()
    {
        var (run, mended) = (0, 0);
        foreach (var row in Cases("attention"))
        {
            var text = row.GetProperty("text").GetString()!;
            foreach (var (reader, breaks) in new[] { ("webui", true), ("kohya", false) })
            {
                var pieces = PromptAttention.Parse(text, breaks);
                if (row.GetProperty(reader).ValueKind != JsonValueKind.Array)
                {
                    Assert.Contains(pieces, piece => piece.Text.Length > 0);      // the reference raises; here what is no number is text
                    mended++;
                    continue;
                }
                Same(row.GetProperty(reader), pieces, text);
                run++;
            }
        }
        output.WriteLine($"{run} exact, {mended} read where the reference raises");
    }

    [Theory]
    [InlineData("a (cat: 1.3)", true, "a ", 1, "cat", 1.3)]
    [InlineData("a (cat: 1.3)", false, "a ", 1, "cat: 1.3", 1.1)]
    [InlineData("a (cat:1.3 )", false, "a ", 1, "cat:1.3 ", 1.1)]
    [InlineData("a (cat:1.3)", false, "a ", 1, "cat", 1.3)]
    public void Only_the_webui_reads_a_weight_between_blanks(string text, bool breaks, string first, double firstWeight, string second, double secondWeight) =>
        Assert.Equal([new(first, firstWeight), new(second, secondWeight)], PromptAttention.Parse(text, breaks));

    [Fact]
    public void Schedules_and_alternations_change_at_the_recorded_steps()
    {
        var golden = Golden.Json("prompts", "schedules.json");
        var sets = golden.GetProperty("step_sets").EnumerateArray().ToList();
        foreach (var row in golden.GetProperty("cases").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            foreach (var result in row.GetProperty("results").EnumerateArray())
            {
                var set = sets[result.GetProperty("steps").GetInt32()];
                var schedule = PromptSchedule.Of(text, set.GetProperty("base_steps").GetInt32(),
                    set.TryGetProperty("hires_steps", out var hires) ? hires.GetInt32() : null, set.TryGetProperty("use_old_scheduling", out _));
                Assert.Equal(result.GetProperty("schedule").EnumerateArray().Select(entry => new ScheduledText(entry[0].GetInt32(), entry[1].GetString()!)), schedule);
            }
        }
    }

    [Fact]
    public void The_text_in_force_is_the_one_the_webui_uses_at_that_call()
    {
        var calls = 0;
        foreach (var row in Cases("schedule_active"))
        {
            foreach (var pass in row.GetProperty("calls").EnumerateArray())
            {
                var hires = pass.GetProperty("hires_steps");
                var schedule = PromptSchedule.Of(row.GetProperty("text").GetString()!, pass.GetProperty("steps").GetInt32(), hires.ValueKind == JsonValueKind.Null ? null : hires.GetInt32());
                foreach (var (call, text) in pass.GetProperty("texts").EnumerateArray().Index())
                    Assert.Equal(text.GetString(), schedule[PromptSchedule.InForce(schedule.Select(entry => entry.EndStep), call)].Text);
                calls += pass.GetProperty("texts").GetArrayLength();
            }
        }
        output.WriteLine($"{calls} calls exact");
    }

    [Fact]
    public void And_joins_parts_with_weights()
    {
        foreach (var row in Cases("and"))
        {
            var text = row.GetProperty("text").GetString()!;
            Same(row.GetProperty("parts"), PromptParts.Of(text), text);
            Assert.Equal(row.GetProperty("unique").EnumerateArray().Select(part => part.GetString()), PromptParts.OfAll([text]).Texts);
        }
    }

    [Fact]
    public void Equal_parts_of_several_prompts_are_one_text()
    {
        foreach (var row in Cases("and_batch"))
        {
            var (texts, parts) = PromptParts.OfAll([.. row.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!)]);
            Assert.Equal(row.GetProperty("unique").EnumerateArray().Select(text => text.GetString()), texts);
            Assert.Equal(row.GetProperty("parts").EnumerateArray().Select(prompt => prompt.EnumerateArray().Select(part => (part[0].GetInt32(), part[1].GetDouble()))), parts);
        }
    }

    [Fact]
    public void Comments_are_taken_out()
    {
        foreach (var pair in Golden.Json("prompts", "styles.json").GetProperty("comments").EnumerateArray())
            Assert.Equal(pair[1].GetString(), PromptComments.Strip(pair[0].GetString()!));
    }

    [Fact]
    public void Tags_are_taken_out_and_split_at_colons()
    {
        foreach (var row in Cases("extra_networks"))
        {
            var (text, tags) = PromptTag.Split(row.GetProperty("prompt").GetString()!);
            Assert.Equal(row.GetProperty("text").GetString(), text);
            foreach (var (expected, tag) in row.GetProperty("tags").EnumerateArray().Zip(tags, (expected, tag) => (expected, tag)))
            {
                Assert.Equal(expected.GetProperty("net").GetString(), tag.Kind);
                Assert.Equal(Texts(expected.GetProperty("items")), tag.Items);
                Assert.Equal(Texts(expected.GetProperty("positional")), tag.Positional);
                Assert.Equal(expected.GetProperty("named").EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetString()!), tag.Named);
            }
            Assert.Equal(row.GetProperty("tags").GetArrayLength(), tags.Count);
        }
    }

    [Fact]
    public void Of_pictures_drawn_together_the_first_prompt_s_tags_act()
    {
        foreach (var row in Cases("extra_networks_batch"))
        {
            var (texts, tags) = PromptTag.SplitBatch([.. Texts(row.GetProperty("prompts"))]);
            Assert.Equal(Texts(row.GetProperty("texts")), texts);
            Assert.Equal(row.GetProperty("tags").EnumerateArray().Select(tag => (tag[0].GetString()!, string.Join(':', Texts(tag[1])))), tags.Select(tag => (tag.Kind, string.Join(':', tag.Items))));
        }
    }

    private static IEnumerable<string> Texts(JsonElement list) => list.EnumerateArray().Select(text => text.GetString()!);

    private static IEnumerable<JsonElement> Cases(string name) => Golden.Json("prompts", $"{name}.json").GetProperty("cases").EnumerateArray();

    private static void Same(JsonElement expected, IReadOnlyList<WeightedText> actual, string text)
    {
        Assert.Equal(expected.EnumerateArray().Select(piece => piece[0].GetString()), actual.Select(piece => piece.Text));
        foreach (var (piece, found) in expected.EnumerateArray().Zip(actual))
            Assert.True(Math.Abs(piece[1].GetDouble() - found.Weight) <= Digits * Math.Abs(found.Weight), $"{text}: {found}");
    }
}
