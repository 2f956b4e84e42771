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
    public void And_joins_parts_with_weights()
    {
        foreach (var row in Cases("and"))
            Same(row.GetProperty("parts"), PromptParts.Of(row.GetProperty("text").GetString()!), row.GetProperty("text").GetString()!);
    }

    private static IEnumerable<JsonElement> Cases(string name) => Golden.Json("prompts", $"{name}.json").GetProperty("cases").EnumerateArray();

    private static void Same(JsonElement expected, IReadOnlyList<WeightedText> actual, string text)
    {
        Assert.Equal(expected.EnumerateArray().Select(piece => piece[0].GetString()), actual.Select(piece => piece.Text));
        foreach (var (piece, found) in expected.EnumerateArray().Zip(actual))
            Assert.True(Math.Abs(piece[1].GetDouble() - found.Weight) <= Digits * Math.Abs(found.Weight), $"{text}: {found}");
    }
}
