using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Draws pictures: prompt → chunks → states → sampler walking denoise(x, σ) → latent → picture. One at a time, on one thread.</summary>
/// <remarks>It keeps what it has read and encoded for pictures to come. Networks hung on the base by others act too, and then no encoded prompt is kept.</remarks>
public sealed class GenerationPipeline : IDisposable
{
    private readonly StableDiffusion model;
    private readonly ModelSigmas sigmas = new(NoiseSchedule.Sd1ForSampling());
    private readonly NetworkShelf shelf;
    private readonly HypernetworkShelf hypernetworks;
    private readonly PromptReader reader;
    private readonly Lazy<EmbeddingShelf> words;
    private readonly EncodedPrompts kept = new();
    private readonly NetworkHashes hashes = new();

    /// <param name="model">The base; stays the caller's. Networks that already hang on it act too.</param>
    /// <param name="modelName">The base's name in infotexts; null leaves it out.</param>
    /// <param name="folders">Where names in prompts are looked up; null: nowhere.</param>
    /// <exception cref="SettingsException">A styles or presets file is not there.</exception>
    public GenerationPipeline(StableDiffusion model, string? modelName = null, PromptFolders? folders = null)
    {
        this.model = model;
        ModelName = modelName;
        shelf = new(model);
        hypernetworks = new(model);
        reader = new(folders ?? new());
        words = new(() => new EmbeddingShelf((int)model.TextEncoder.Spec.Width, folders?.Embeddings ?? []));
    }

    /// <summary>The base's name in infotexts.</summary>
    public string? ModelName { get; }

    /// <summary>Draws a picture.</summary>
    /// <param name="request">What to draw.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <exception cref="SettingsException">The request cannot be drawn; every problem is told.</exception>
    /// <exception cref="CheckpointException">The base or a network is damaged, or a network fits no layer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public GenerationResult Draw(GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancel = default)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var drawn = Walk(request, progress, cancel);
        return new(request, Picture.Of(Decode(drawn.Latent)), drawn.Infotext) { Notes = drawn.Notes, Networks = drawn.Effects };
    }

    /// <summary>What a network does to the base, without a picture being drawn; networks of the last picture are taken off.</summary>
    /// <exception cref="CheckpointException">The network is damaged or fits no layer.</exception>
    public NetworkEffect EffectOf(NetworkUse network)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return shelf.Use([network]).Effects[0];
    }

    /// <summary>The final latent of a picture, scaled as the U-Net has it, [1, 4, H/8, W/8]; the caller's scope owns it.</summary>
    public Tensor DrawLatent(GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancel = default)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return Walk(request, progress, cancel).Latent.MoveToOuterDisposeScope();
    }

    /// <summary>A latent as a picture, [1, 3, H, W], about −1..1; the caller's scope owns it.</summary>
    /// <param name="latent">Scaled as the U-Net has it.</param>
    public Tensor Decode(Tensor latent)
    {
        using var scope = NewDisposeScope();
        return model.Vae.Decode(latent / model.Vae.ScaleFactor).MoveToOuterDisposeScope();
    }

    /// <summary>Takes the networks of the last request off the base, and frees what was kept.</summary>
    public void Dispose()
    {
        shelf.Dispose();
        hypernetworks.Dispose();
        if (words.IsValueCreated) words.Value.Dispose();
        kept.Dispose();
    }

    private sealed record Drawn(Tensor Latent, string Infotext, IReadOnlyList<string> Notes, IReadOnlyList<NetworkEffect> Effects);

    private Drawn Walk(GenerationRequest request, IProgress<GenerationProgress>? progress, CancellationToken cancel)
    {
        var problems = new Problems();
        request.Check(problems);
        problems.ThrowIfAny();

        kept.Trim();
        var prompt = reader.Read(request);
        foreach (var use in prompt.Networks) problems.Require(File.Exists(use.Path), use.Path, "is not there.", "Check the path.");
        problems.ThrowIfAny();
        var (effects, remarks) = shelf.Use(prompt.Networks);
        var notes = new List<string>([.. prompt.Notes, .. remarks, .. hypernetworks.Use(prompt.Hypernetworks), .. effects.Where(effect => !effect.Acts).Select(effect => effect.ToString())]);
        var choice = SamplerChoice.Parse(request.Sampler);
        var plan = SamplingPlan.For(choice.Sampler, request.Steps, sigmas, request.ScheduleOptions with { Schedule = choice.Schedule ?? request.ScheduleOptions.Schedule });
        var calls = request.Steps * (choice.Sampler.SecondOrder ? 2 : 1);      // prompt schedules count calls of the model
        var conditioning = new Conditioning(model.TextEncoder, request.Emphasis, request.ClipSkip, words.Value, kept, shelf.OthersAct ? null : shelf.Key);
        List<TextualInversion> bundled = [.. shelf.Words.Where(words.Value.AddBundled)];
        var guidance = new Guidance([conditioning.Positive(prompt.Text, calls)], conditioning.Negative(prompt.Negative, calls), request.CfgScale, request.Guidance, calls)
        {
            Empty = request.Guidance.Padding == ConditioningPadding.Empty ? conditioning.Negative("", calls).At(0) : null,
        };
        foreach (var word in bundled) words.Value.Remove(word);
        notes.AddRange(words.Value.TakeNotes());
        var guided = new GuidedModel(model.UNet.forward, sigmas, model.Prediction == PredictionHint.V, guidance);

        var cells = request.Size.ToLatent();
        using var noise = new PictureNoise(request.Noise, [(request.Seed, request.SeedOptions.ForNoise())], plan, [model.UNet.Spec.LatentChannels, cells.Height, cells.Width], model.Compute.Device);
        var start = noise.First() * plan.StartScale;
        var walk = new SamplerWalk(plan, guided.Denoise(choice.Sampler), guided.PredictNoise, noise.Next, request.SamplerOptions, step =>
        {
            progress?.Report(new(Math.Min(step.Step + 1, plan.Steps), plan.Steps));
            shelf.EnterStep(step.Step);
            cancel.ThrowIfCancellationRequested();
        })
        { PredictPair = guided.PredictPair };
        cancel.ThrowIfCancellationRequested();
        var shown = request with { Prompt = prompt.Shown, NegativePrompt = prompt.Negative };
        return new(choice.Sampler.Walk(walk, start), Infotext.Of(shown, ModelName, hashes.Of(prompt.Networks, conditioning.Used)), notes, effects);
    }
}
