using System.Text.Json;
using Levain.Generation;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

public sealed class PromptChunksTests(ITestOutputHelper output)
{
    [Fact]
    public void Prompts_are_cut_into_the_webui_s_chunks()
    {
        var run = 0;
        foreach (var row in Golden.Json("prompts", "chunks_clip.json").GetProperty("cases").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            if (row.TryGetProperty("default", out var usual)) Same(usual, PromptChunks.Of(text), text);
            if (row.TryGetProperty("options", out var options))
            {
                foreach (var option in options.EnumerateArray())
                {
                    var chunks = option.TryGetProperty("emphasis", out var emphasis)
                        ? PromptChunks.Of(text, Enum.Parse<Emphasis>(emphasis.GetString()!))
                        : PromptChunks.Of(text, commaBacktrack: option.GetProperty("comma_padding_backtrack").GetInt32());
                    Same(option.GetProperty("result"), chunks, $"{text} ({option})");
                }
            }
            run++;
        }
        output.WriteLine($"{run} prompts exact");
    }

    [Fact]
    public void Emphasis_changes_states_as_the_webui_does()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("prompts", "emphasis.safetensors");
        var prefix = golden.Metadata["prefix"];
        foreach (var name in golden.Names)
        {
            var (mode, b) = (name.Split('.')[0], int.Parse(name.Split('.')[1]));
            var states = Synth.Input($"{prefix}.z.{b}", b, 77, 16) + 0.3;
            var weights = ones(b, 77);
            weights.narrow(1, 3, 17).copy_(Synth.Input($"{prefix}.weights.{b}", b, 77).narrow(1, 3, 17) * 0.3 + 1);
            weights.select(1, 30).fill_(0);
            weights.select(1, 31).fill_(-0.5);
            var found = Enum.Parse<Emphasis>(mode.Replace("No norm", "NoNorm")).Apply(states, weights);
            // 1e-6: tests/golden/prompts/README.md; relative to the largest state, for the mean of a few texts is small
            Assert.True((found - golden[name]).abs().max().item<float>() <= 1e-6 * Math.Max(1, golden[name].abs().max().item<float>()), name);
        }
    }

    private static void Same(JsonElement expected, PromptChunks chunks, string text)
    {
        Assert.Equal(expected.GetProperty("count").GetInt32(), chunks.TokenCount);
        var wanted = expected.GetProperty("chunks").EnumerateArray().ToList();
        Assert.Equal(wanted.Count, chunks.Chunks.Count);
        foreach (var (chunk, found) in wanted.Zip(chunks.Chunks))
        {
            Assert.Equal(chunk.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), found.Ids);
            Assert.Equal(chunk.GetProperty("weights").EnumerateArray().SelectMany(run => Enumerable.Repeat(run[1].GetDouble(), run[0].GetInt32())), found.Weights);
        }
    }
}
