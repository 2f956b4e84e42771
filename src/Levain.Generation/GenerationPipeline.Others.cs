using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

// Other checkpoints of one picture, a refiner's and a second pass's, each with the networks and words of the prompt on it.
public sealed partial class GenerationPipeline
{
    private readonly Dictionary<string, GenerationPipeline> others = [];
    private readonly List<TextualInversion> bundled = [];

    /// <summary>Who draws with another checkpoint. It stays open as long as requests name it.</summary>
    private GenerationPipeline Other(string path)
    {
        if (others.TryGetValue(path, out var known)) return known;
        var other = StableDiffusion.Open(path, model.Compute, Files?.Vae);
        return others[path] = new(other, Path.GetFileNameWithoutExtension(path), folders) { ownsModel = true };
    }

    private GenerationPipeline? Refiner(GenerationRequest request) => request.Refiner is { } refiner ? Other(refiner.Checkpoint) : null;

    private GenerationPipeline SecondPass(GenerationRequest request) => request.Hires?.Checkpoint is { } path ? Other(path) : this;

    /// <summary>Everyone who draws at a picture.</summary>
    private IEnumerable<GenerationPipeline> All(GenerationRequest request) => ((GenerationPipeline?[])[this, SecondPass(request), Refiner(request)]).OfType<GenerationPipeline>().Distinct();

    /// <summary>Opens what a request names, before anything is drawn, and closes the rest.</summary>
    private void OpenOthers(GenerationRequest request, Problems problems)
    {
        CloseOthers(request);
        var second = SecondPass(request);
        if (Refiner(request) is { } refiner)
            problems.Require(refiner.model.UNetSpec.FurtherChannels == second.model.UNetSpec.FurtherChannels, "refiner", $"is {request.Refiner!.Checkpoint}, and only one of it and the base is an inpainting checkpoint.", "Use two of one kind.");
    }

    /// <summary>Reads the others, so that one that is damaged is told of before anything is drawn.</summary>
    private void ReadOthers(GenerationRequest request)
    {
        foreach (var other in All(request).Where(one => one != this)) _ = (other.model.UNet, other.model.TextEncoder);
    }

    private void CloseOthers(GenerationRequest? request = null)
    {
        foreach (var path in others.Keys.Where(path => path != request?.Hires?.Checkpoint && path != request?.Refiner?.Checkpoint).ToList())
        {
            others[path].Dispose();
            others.Remove(path);
        }
    }

    /// <summary>Lets a prompt's networks and words act on this base, and no others.</summary>
    private (Conditioning Conditioning, IReadOnlyList<NetworkEffect> Effects) Take(ReadPrompt prompt, GenerationRequest request, List<string> notes)
    {
        Leave(notes);
        kept.Trim();
        var (effects, remarks) = shelf.Use(prompt.Networks);
        notes.AddRange([.. remarks, .. hypernetworks.Use(prompt.Hypernetworks), .. effects.Where(effect => !effect.Acts).Select(effect => effect.ToString())]);
        bundled.AddRange(shelf.Words.Where(words.Value.AddBundled));
        return (new(model.TextEncoder, request.Emphasis, request.ClipSkip, words.Value, kept, shelf.OthersAct ? null : shelf.Key) { OldTimelines = request.OldTimelines }, effects);
    }

    /// <summary>Takes away words that networks brought along.</summary>
    private void Leave(List<string> notes)
    {
        foreach (var word in bundled) words.Value.Remove(word);
        bundled.Clear();
        if (words.IsValueCreated) notes.AddRange(words.Value.TakeNotes());
    }

    private static Guidance Guide(Conditioning conditioning, ReadPrompt read, GenerationRequest request, int pictures, double scale, int calls, int? hiresCalls)
    {
        var positive = conditioning.Positive(read.Text, calls, hiresCalls);
        return new([.. Enumerable.Repeat(positive, pictures)], conditioning.Negative(read.Negative, calls, hiresCalls), scale, request.Guidance, hiresCalls ?? calls)
        {
            Empty = request.Guidance.Padding == ConditioningPadding.Empty ? conditioning.Negative("", calls).At(0) : null,
        };
    }

    /// <summary>The refiner's part of a pass; null without one.</summary>
    private Refinement? Refine(GenerationRequest request, ReadPrompt read, int pictures, double scale, int calls, int? hiresCalls, List<string> notes)
    {
        if (Refiner(request) is not { } refiner) return null;
        // Where both are one checkpoint its networks act already, and act on.
        var told = new List<string>();
        var (conditioning, _) = refiner.Take(read, request, told);
        notes.AddRange(told.Except(notes));
        return new(refiner.model.UNet.forward, Guide(conditioning, read, request, pictures, scale, calls, hiresCalls), request.Refiner!.SwitchAt, refiner.model.Prediction == PredictionHint.V);
    }

    private Seamless? Seamless(GenerationRequest request) => request.Joined == Joined.None ? null
        : new([.. All(request).SelectMany(one => new nn.Module[] { one.model.UNet, one.model.Vae })], request.Joined.HasFlag(Joined.Width), request.Joined.HasFlag(Joined.Height));
}
