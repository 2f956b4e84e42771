using System.Text.Json;
using Levain.Generation;
using Levain.Models.Clip;
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

    /// <summary>SD 2's and SDXL's second tokenizer pads with 0 behind the first end; this program has no such model, its chunks are the same otherwise.</summary>
    [Fact]
    public void The_other_tokenizer_s_chunks_differ_in_padding_only()
    {
        foreach (var row in Golden.Json("prompts", "chunks_open_clip.json").GetProperty("cases").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            if (row.TryGetProperty("default", out var usual)) Same(usual, PromptChunks.Of(text), text, zeroPadded: true);
        }
    }

    [Fact]
    public void Trained_words_stand_where_the_webui_puts_them()
    {
        using var scope = NewDisposeScope();
        using var words = Words(4);
        var run = 0;
        foreach (var row in Golden.Json("prompts", "embeddings.json").GetProperty("cases").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            var chunks = PromptChunks.Of(text, words: words);
            Same(row.GetProperty("clip"), chunks, text);
            Same(row.GetProperty("open_clip"), chunks, text, zeroPadded: true);
            run++;
        }
        output.WriteLine($"{run} prompts exact");
    }

    [Fact]
    public void Vectors_of_trained_words_replace_those_of_their_places()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("prompts", "embedding_vectors.safetensors");
        using var words = Words(4);
        var table = Synth.Weight("token_embedding.weight", 49408, 4);
        var texts = golden.Json("texts").EnumerateArray().Select(text => text.GetString()!).ToList();
        foreach (var name in golden.Names)
        {
            var (text, place) = (int.Parse(name.Split('.')[0]), int.Parse(name.Split('.')[1]));
            var chunk = PromptChunks.Of(texts[text], words: words).Chunks[place];
            var found = chunk.Insert(table.index_select(0, tensor(chunk.Ids.Select(id => (long)id).ToArray())));
            Assert.True((found - golden[name].view(found.shape)).abs().max().item<float>() <= 1e-6, name);        // tests/golden/prompts/README.md
        }
    }

    private static EmbeddingShelf Words(int width)
    {
        var shelf = new EmbeddingShelf(width);
        foreach (var word in Golden.Json("prompts", "embeddings.json").GetProperty("embeddings").EnumerateArray())
        {
            var name = word.GetProperty("name").GetString()!;
            shelf.Add(TextualInversion.Of(name, Synth.Input($"prompts.ti.{name}", word.GetProperty("vectors").GetInt32(), width)));
        }
        return shelf;
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

    private static void Same(JsonElement expected, PromptChunks chunks, string text, bool zeroPadded = false)
    {
        Assert.Equal(expected.GetProperty("count").GetInt32(), chunks.TokenCount);
        var wanted = expected.GetProperty("chunks").EnumerateArray().ToList();
        Assert.Equal(wanted.Count, chunks.Chunks.Count);
        foreach (var (chunk, found) in wanted.Zip(chunks.Chunks))
        {
            Assert.Equal(chunk.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), zeroPadded ? ZeroPadded(found.Ids) : found.Ids);
            var recorded = chunk.TryGetProperty("vectors", out var vectors) ? vectors.EnumerateArray().Select(word => (word[0].GetInt32(), word[1].GetString()!, word[2].GetInt32())) : [];
            Assert.Equal(recorded, found.Words.Select(word => (word.Offset, word.Word.Name, word.Word.Count)));
            Assert.Equal(chunk.GetProperty("weights").EnumerateArray().SelectMany(run => Enumerable.Repeat(run[1].GetDouble(), run[0].GetInt32())), found.Weights);
        }
    }

    private static int[] ZeroPadded(int[] ids)
    {
        var end = Array.IndexOf(ids, ClipTokenizer.End);
        return [.. ids.Select((id, place) => place > end ? 0 : id)];
    }
}
