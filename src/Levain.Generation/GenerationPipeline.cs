using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Draws pictures: prompt → chunks → states → sampler walking denoise(x, σ) → latent → picture. One batch at a time, on one thread.</summary>
/// <remarks>It keeps what it has read and encoded for pictures to come. Networks hung on the base by others act too, and then no encoded prompt is kept.</remarks>
public sealed partial class GenerationPipeline : IDisposable
{
    // Pixels from which on the maps of decoding are worth asking the system for anew.
    private const long Spacious = 256 * 256;

    private readonly StableDiffusion model;
    private readonly ModelSigmas sigmas = new(NoiseSchedule.Sd1ForSampling());
    private readonly NetworkShelf shelf;
    private readonly HypernetworkShelf hypernetworks;
    private readonly PromptReader reader;
    private readonly Lazy<EmbeddingShelf> words;
    private readonly EncodedPrompts kept = new();
    private readonly NetworkHashes hashes = new();
    private readonly PromptFolders folders;
    private bool ownsModel;
    private PreviewColours? colours;

    /// <param name="model">The base; stays the caller's. Networks that already hang on it act too.</param>
    /// <param name="modelName">The base's name in infotexts; null leaves it out.</param>
    /// <param name="folders">Where names in prompts are looked up; null: nowhere.</param>
    /// <exception cref="SettingsException">A styles or presets file is not there.</exception>
    public GenerationPipeline(StableDiffusion model, string? modelName = null, PromptFolders? folders = null)
    {
        (this.model, this.folders) = (model, folders ?? new());
        ModelName = modelName;
        shelf = new(model);
        hypernetworks = new(model);
        reader = new(this.folders);
        words = new(() =>
        {
            var all = new EmbeddingShelf((int)model.TextEncoder.Spec.Width, this.folders.Embeddings, Waiting);
            foreach (var word in Words) all.Add(word);
            return all;
        });
    }

    /// <summary>The base's name in infotexts.</summary>
    public string? ModelName { get; }

    /// <summary>The base's files, which infotexts name with their hashes; null: its name alone.</summary>
    public BaseFiles? Files { get; init; }

    /// <summary>Told in a sentence what drawing waits for, where that takes longer than a moment; null: nobody.</summary>
    public IProgress<string>? Waiting { get; init; }

    /// <summary>Trained words that prompts know beside those of folders, and before them. Disposed with this object once a prompt was read.</summary>
    public IReadOnlyList<TextualInversion> Words { get; init; } = [];

    /// <summary>Draws one picture, whatever the request's batch.</summary>
    /// <param name="request">What to draw.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <exception cref="SettingsException">The request cannot be drawn; every problem is told.</exception>
    /// <exception cref="CheckpointException">The base, a network or an upscaler is damaged, or a network fits no layer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public GenerationResult Draw(GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancel = default) =>
        DrawAll(request with { Batch = new() }, progress, cancel: cancel)[0];

    /// <summary>Draws every picture of a request, batch after batch.</summary>
    /// <inheritdoc cref="Draw"/>
    /// <param name="drawn">Told about each picture as it is done.</param>
    public IReadOnlyList<GenerationResult> DrawAll(
        GenerationRequest request, IProgress<GenerationProgress>? progress = null, Action<GenerationResult>? drawn = null, CancellationToken cancel = default)
    {
        var results = new List<GenerationResult>();
        Prepare(request);
        for (var batch = 0; batch < request.Batch.Count; batch++)
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var seamless = Seamless(request);
            var latents = Walk(request, batch, progress, cancel);
            if (request.Size.Area >= Spacious) StableDiffusion.ReleaseSpare();
            for (var i = 0; i < request.Batch.Size; i++)
            {
                var picture = Picture.Of(latents.Last.DecodeScaled(latents.Latent.narrow(0, i, 1), request.TileSize));
                if (latents.Initial is not null) picture = latents.Initial.PutBack(picture);
                results.Add(new(latents.Pictures[i], picture, latents.Infotexts[i]) { Notes = latents.Notes, Networks = latents.Effects });
                drawn?.Invoke(results[^1]);
            }
        }
        return results;
    }

    /// <summary>What a network does to the base, without a picture being drawn; networks of the last picture are taken off.</summary>
    /// <exception cref="CheckpointException">The network is damaged or fits no layer.</exception>
    public NetworkEffect EffectOf(NetworkUse network)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return shelf.Use([network]).Effects[0];
    }

    /// <summary>Asks the base something, with nothing of this program's on it.</summary>
    internal T OnBase<T>(Func<StableDiffusion, T> ask)
    {
        shelf.TakeOff();
        hypernetworks.Use([]);
        return ask(model);
    }

    /// <summary>The final latent of a picture, scaled as the U-Net has it, [1, 4, H/8, W/8]; the caller's scope owns it.</summary>
    public Tensor DrawLatent(GenerationRequest request, IProgress<GenerationProgress>? progress = null, CancellationToken cancel = default)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        Prepare(request);
        using var seamless = Seamless(request);
        return Walk(request with { Batch = new() }, 0, progress, cancel).Latent.MoveToOuterDisposeScope();
    }

    /// <summary>A latent as a picture, [1, 3, H, W], about −1..1; the caller's scope owns it.</summary>
    /// <param name="latent">Scaled as the U-Net has it.</param>
    public Tensor Decode(Tensor latent)
    {
        using var scope = NewDisposeScope();
        return model.DecodeScaled(latent, tile: 0).MoveToOuterDisposeScope();
    }

    /// <summary>Takes the networks of the last request off the base, and frees what was kept.</summary>
    public void Dispose()
    {
        CloseOthers();
        shelf.Dispose();
        hypernetworks.Dispose();
        if (words.IsValueCreated) words.Value.Dispose();
        kept.Dispose();
        colours?.Dispose();
        if (ownsModel) model.Dispose();
    }

    /// <param name="Last">The base that finished them, whose autoencoder makes pictures of them.</param>
    private sealed record Drawn(
        Tensor Latent, StableDiffusion Last, InitialPicture? Initial, IReadOnlyList<GenerationRequest> Pictures, IReadOnlyList<string> Infotexts, IReadOnlyList<string> Notes, IReadOnlyList<NetworkEffect> Effects);

    private void Prepare(GenerationRequest request)
    {
        var problems = new Problems();
        request.Check(problems);
        problems.ThrowIfAny();
        OpenOthers(request, problems);
        if (model.Compute.Device.type == TorchSharp.DeviceType.CPU) MemoryEstimate.Of(request, [.. All(request).Select(one => one.model)]).Check(problems, SystemMemory.Available);
        problems.ThrowIfAny();
        ReadOthers(request);
        foreach (var one in All(request))
        {
            var blocks = one.model.TextEncoder.Spec.Layers;
            problems.Require(request.ClipSkip <= blocks + 1, "clip_skip", $"is {request.ClipSkip}, and the text encoder of {one.ModelName ?? "the base"} has {blocks} blocks.", $"Use 1 to {blocks + 1}; 1, or 2 for many anime models.");
        }
        problems.ThrowIfAny();
    }

    private Drawn Walk(GenerationRequest request, int batch, IProgress<GenerationProgress>? progress, CancellationToken cancel)
    {
        Files?.Begin();
        var problems = new Problems();
        var prompt = reader.Read(request);
        foreach (var use in prompt.Networks) problems.Require(File.Exists(use.Path), use.Path, "is not there.", "Check the path.");
        problems.ThrowIfAny();
        var notes = new List<string>(prompt.Notes);
        var (conditioning, effects) = Take(prompt, request, notes);

        var pictures = Enumerable.Range(batch * request.Batch.Size, request.Batch.Size).Select(request.PictureAt).ToList();
        var passes = new PictureWalk(model, sigmas, request, pictures, cancel);
        var (first, second) = (passes.FirstPlan, passes.SecondPlan);
        var guidance = Guide(conditioning, prompt, request, pictures.Count, request.CfgScale, first.Calls, null);
        var refinement = second is null ? Refine(request, prompt, pictures.Count, request.CfgScale, first.Calls, null, notes) : null;

        var initial = request.Img2Img is null ? null : passes.Begin();
        if (initial is not null) notes.AddRange(initial.Notes);
        var latent = passes.First(guidance, refinement, initial, step => Report(step, 0, first.Plan.Steps));
        var used = conditioning.Used;
        if (second is not null)
        {
            var (hires, other) = (request.Hires!, SecondPass(request));
            var again = hires.Prompt + hires.NegativePrompt is { Length: > 0 }
                ? reader.Read(request with { Prompt = hires.Prompt.Length > 0 ? hires.Prompt : request.Prompt, NegativePrompt = hires.NegativePrompt.Length > 0 ? hires.NegativePrompt : request.NegativePrompt })
                : prompt;
            if (other != this || !again.Networks.SequenceEqual(prompt.Networks)) (conditioning, _) = other.Take(again, request, notes);
            var scale = hires.CfgScale ?? request.CfgScale;
            guidance = Guide(conditioning, again, request, pictures.Count, scale, first.Calls, second.Calls);
            refinement = Refine(request, again, pictures.Count, scale, first.Calls, second.Calls, notes);
            latent = new PictureWalk(other.model, sigmas, request, pictures, cancel).Second(guidance, refinement, latent, step => Report(step, first.Plan.Steps, second.Plan.Steps));
        }
        foreach (var one in All(request)) one.Leave(notes);
        if (!latent.isfinite().all().item<bool>()) notes.Add("The picture came out as numbers that are not finite, and is black or broken: lower --cfg, weights in the prompt and strengths, or use another sampler.");
        var named = hashes.Of(prompt.Networks, used, notes);
        var names = Files?.Names(notes, Waiting, cancel) ?? new(ModelName);
        var texts = pictures.Select(picture => Infotext.Of(picture with { Prompt = prompt.Shown, NegativePrompt = prompt.Negative }, names, named)).ToList();
        return new(latent, (Refiner(request) ?? SecondPass(request)).model, initial, pictures, texts, notes, effects);

        void Report(SamplerStep step, int before, int steps)
        {
            progress?.Report(new(before + Math.Min(step.Step + 1, steps), first.Plan.Steps + (second?.Plan.Steps ?? 0))
            {
                Batch = batch,
                Preview = () => (colours ??= PreviewColours.Fit(model)).Of(step.Denoised.narrow(0, 0, 1)),
            });
            foreach (var one in All(request)) one.shelf.EnterStep(step.Step);
            cancel.ThrowIfCancellationRequested();
        }
    }
}
