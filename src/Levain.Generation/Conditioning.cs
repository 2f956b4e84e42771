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
    public Tensor At(int call)
    {
        foreach (var (end, states) in Schedule)
            if (call <= end) return states;
        return Schedule[0].States;                              // the webui falls back to the first, not the last
    }
}

/// <summary>Prompts as the states of a text encoder.</summary>
/// <param name="encoder">The text encoder, with or without adapters on it.</param>
/// <param name="emphasis">What becomes of weights.</param>
/// <param name="clipSkip">Which block is used, from the last.</param>
internal sealed class Conditioning(ClipTextModel encoder, Emphasis emphasis, int clipSkip)
{
    /// <summary>The parts of a prompt, AND and schedules understood. The caller's scope owns the states.</summary>
    /// <param name="steps">Calls of the model in all.</param>
    public IReadOnlyList<ConditioningPart> Positive(string prompt, int steps) =>
        [.. PromptParts.Of(prompt).Select(part => new ConditioningPart(part.Weight, Scheduled(part.Text, steps)))];

    /// <summary>The negative prompt, in which AND is a word.</summary>
    public ConditioningPart Negative(string prompt, int steps) => new(1, Scheduled(prompt, steps));

    private IReadOnlyList<(int, Tensor)> Scheduled(string text, int steps)
    {
        var schedule = PromptSchedule.Of(text, steps);
        var states = Encode([.. schedule.Select(entry => PromptChunks.Of(entry.Text, emphasis))]);
        return [.. schedule.Select((entry, i) => (entry.EndStep, states[i].unsqueeze(0)))];
    }

    /// <summary>Encodes texts together, shorter ones filled up with empty chunks: [texts, 77·chunks, C], fp32.</summary>
    private Tensor Encode(IReadOnlyList<PromptChunks> texts)
    {
        using var scope = NewDisposeScope();
        var device = encoder.parameters().First().device;
        var chunks = new List<Tensor>();
        for (var i = 0; i < texts.Max(text => text.Chunks.Count); i++)
        {
            var row = texts.Select(text => i < text.Chunks.Count ? text.Chunks[i] : PromptChunk.Empty).ToList();
            var ids = tensor(row.SelectMany(chunk => chunk.Ids.Select(id => (long)id)).ToArray(), row.Count, TokenWindows.Length);
            var weights = tensor(row.SelectMany(chunk => chunk.Weights.Select(weight => (float)weight)).ToArray(), row.Count, TokenWindows.Length);
            var states = encoder.call(ids.to(device), clipSkip).to(ScalarType.Float32);
            chunks.Add(row.All(chunk => chunk.Weights.All(weight => weight == 1)) ? states : emphasis.Apply(states, weights.to(device)));
        }
        return cat(chunks, 1).MoveToOuterDisposeScope();
    }
}
