using System.Text.Json;
using Levain.Diffusion;
using Levain.Models.Clip;
using Xunit;

namespace Levain.Tests.Models.Clip;

public sealed class ClipTokenizerTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_recorded_text_gives_the_reference_s_ids()
    {
        int exact = 0, optional = 0;
        var wrong = new List<string>();
        foreach (var row in Golden.Json("tokenizer", "ids.json").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            var ids = ClipTokenizer.Instance.Encode(text);
            if (ids.SequenceEqual(Ints(row.GetProperty("ids")))) exact++;
            else if (row.TryGetProperty("mojibake", out _)) optional++;
            else wrong.Add($"{JsonSerializer.Serialize(text)}: {string.Join(' ', ids)} for {row.GetProperty("ids")}");
        }
        output.WriteLine($"{exact} texts exact, {optional} with mis-decoded text left as it is");
        Assert.Empty(wrong);
    }

    [Fact]
    public void Captions_are_cut_and_laid_into_windows_of_77()
    {
        foreach (var row in Golden.Json("tokenizer", "windows.json").EnumerateArray())
        {
            var windows = TokenWindows.Of(row.GetProperty("text").GetString()!, MaxTokens(row));
            Assert.Equal(row.GetProperty("clip_l").EnumerateArray().Select(Ints), windows.Ids);
        }
    }

    [Fact]
    public void Weighted_captions_carry_a_weight_for_every_id()
    {
        foreach (var row in Golden.Json("tokenizer", "weighted.json").EnumerateArray())
        {
            var pieces = PromptAttention.Parse(row.GetProperty("text").GetString()!, breaks: false);
            var windows = TokenWindows.Of(pieces.Select(piece => (piece.Text, piece.Weight)), MaxTokens(row));
            Assert.Equal(row.GetProperty("clip_l").EnumerateArray().Select(Ints), windows.Ids);
            Assert.Equal(row.GetProperty("clip_l_weights").EnumerateArray().Select(Floats), windows.Weights!);
        }
    }

    private static int MaxTokens(JsonElement row) =>
        row.GetProperty("max_token_length") is { ValueKind: JsonValueKind.Number } number ? number.GetInt32() : TokenWindows.Inner;

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetInt32())];

    private static float[] Floats(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetSingle())];
}
