using Levain.Core;
using Levain.Diffusion;
using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>What the U-Net looks at while one part of a prompt is in force.</summary>
/// <param name="Weight">Weight of the part among those joined by AND.</param>
/// <param name="Schedule">States, [1, 77·chunks, C], each with the last call at which it is used; calls count from 0.</param>
internal sealed record ConditioningPart(double Weight, IReadOnlyList<(int EndStep, Tensor States)> Schedule)
{
    /// <summary>The states in force at the <paramref name="call"/>-th call of the model.</summary>
    public Tensor At(int call) => Schedule[PromptSchedule.InForce(Schedule.Select(entry => entry.EndStep), call)].States;
}

/// <summary>Prompts as the states of a text encoder.</summary>
/// <param name="encoder">The text encoder, with or without adapters on it.</param>
/// <param name="emphasis">What becomes of weights.</param>
/// <param name="clipSkip">Which block is used, from the last.</param>
/// <param name="words">Trained words that names in prompts stand for.</param>
/// <param name="kept">States of prompts that were encoded before.</param>
/// <param name="key">What else the states depend on: the networks on the encoder. Null: something unknown, so nothing is kept.</param>
internal sealed class Conditioning(ClipTextModel encoder, Emphasis emphasis, int clipSkip, EmbeddingShelf words, EncodedPrompts kept, string? key)
{
    private readonly OrderedDictionary<string, TextualInversion> used = [];

    /// <summary>Whether schedules are read as webui versions before 1.6 did.</summary>
    public bool OldTimelines { get; init; }

    /// <summary>Trained words that were met, in order.</summary>
    public IReadOnlyCollection<TextualInversion> Used => used.Values;

    /// <summary>The parts of a prompt, AND and schedules understood. The caller's scope, or what is kept, owns the states.</summary>
    /// <param name="prompt">The prompt without tags.</param>
    /// <param name="steps">Calls of the model in all.</param>
    /// <param name="hiresSteps">Calls of the second pass, for which the parts are asked; null for the first.</param>
    public IReadOnlyList<ConditioningPart> Positive(string prompt, int steps, int? hiresSteps = null)
    {
        var (texts, parts) = PromptParts.OfAll([prompt]);
        var states = texts.Select(text => Scheduled(text, steps, hiresSteps)).ToList();
        return [.. parts[0].Select(part => new ConditioningPart(part.Weight, states[part.Text]))];
    }

    /// <summary>The negative prompt, in which AND is a word.</summary>
    public ConditioningPart Negative(string prompt, int steps, int? hiresSteps = null) => new(1, Scheduled(prompt, steps, hiresSteps));

    private IReadOnlyList<(int, Tensor)> Scheduled(string text, int steps, int? hiresSteps)
    {
        var schedule = PromptSchedule.Of(text, steps, hiresSteps, OldTimelines);
        var chunks = schedule.Select(entry => PromptChunks.Of(entry.Text, emphasis, words: words)).ToList();
        foreach (var word in chunks.SelectMany(text => text.Chunks).SelectMany(chunk => chunk.Words)) used.TryAdd(word.Word.Name, word.Word);
        var states = key is null ? Encode(chunks) : kept.Get(Key(schedule), () => Encode(chunks));
        return [.. schedule.Select((entry, i) => (entry.EndStep, states[i].unsqueeze(0)))];
    }

    private string Key(IReadOnlyList<ScheduledText> schedule) =>
        string.Join('\0', [key, emphasis.ToString(), clipSkip.ToString(), .. used.Values.Select(word => $"{word.Name}:{word.Hash}"), .. schedule.Select(entry => entry.Text)]);

    /// <summary>Encodes texts together, shorter ones filled up with empty chunks: [texts, 77·chunks, C], fp32.</summary>
    private Tensor Encode(IReadOnlyList<PromptChunks> texts)
    {
        using var scope = NewDisposeScope();
        var device = encoder.parameters().First().device;
        var chunks = new List<Tensor>();
        for (var i = 0; i < texts.Max(text => text.Chunks.Count); i++)
        {
            var row = texts.Select(text => i < text.Chunks.Count ? text.Chunks[i] : PromptChunk.Empty).ToList();
            if (row.Find(chunk => chunk.Ids.Length > TokenWindows.Length) is { } full)
                throw new SettingsException([new("prompt", $"holds the embedding '{full.Words[0].Word.Name}', which has {full.Words[0].Word.Count} vectors.", $"A chunk holds {TokenWindows.Inner}: use a smaller one.")]);
            var ids = tensor(row.SelectMany(chunk => chunk.Ids.Select(id => (long)id)).ToArray(), row.Count, TokenWindows.Length);
            var weights = tensor(row.SelectMany(chunk => chunk.Weights.Select(weight => (float)weight)).ToArray(), row.Count, TokenWindows.Length);
            var states = encoder.Encode(Filled(encoder.Embed(ids.to(device)), row), clipSkip).to(ScalarType.Float32);
            chunks.Add(row.All(chunk => chunk.Weights.All(weight => weight == 1)) ? states : emphasis.Apply(states, weights.to(device)));
        }
        return cat(chunks, 1).MoveToOuterDisposeScope();
    }

    private static Tensor Filled(Tensor tokens, List<PromptChunk> row) =>
        row.All(chunk => chunk.Words.Count == 0) ? tokens : stack([.. row.Select((chunk, i) => chunk.Insert(tokens[i]))]);
}
