using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Draws pictures: prompt → chunks → states → sampler walking denoise(x, σ) → latent → picture. One at a time, on one thread.</summary>
public sealed class GenerationPipeline : IDisposable
{
    private readonly StableDiffusion model;
    private readonly ModelSigmas sigmas = new(NoiseSchedule.Sd1ForSampling());
    private readonly NetworkShelf shelf;

    /// <param name="model">The base; stays the caller's. Networks that already hang on it act too.</param>
    /// <param name="modelName">The base's name in infotexts; null leaves it out.</param>
    public GenerationPipeline(StableDiffusion model, string? modelName = null)
    {
        this.model = model;
        ModelName = modelName;
        shelf = new(model);
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
        var (latent, notes) = Walk(request, progress, cancel);
        return new(request, Picture.Of(Decode(latent)), Infotext.Of(request, ModelName)) { Notes = notes };
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

    /// <summary>Takes the networks of the last request off the base, to the bit, and frees them.</summary>
    public void Dispose() => shelf.Dispose();

    private (Tensor Latent, IReadOnlyList<string> Notes) Walk(GenerationRequest request, IProgress<GenerationProgress>? progress, CancellationToken cancel)
    {
        var problems = new Problems();
        request.Check(problems);
        problems.ThrowIfAny();

        var notes = shelf.Use(request.Networks);
        var choice = SamplerChoice.Parse(request.Sampler);
        var plan = SamplingPlan.For(choice.Sampler, request.Steps, sigmas, request.ScheduleOptions with { Schedule = choice.Schedule ?? request.ScheduleOptions.Schedule });
        var calls = request.Steps * (choice.Sampler.SecondOrder ? 2 : 1);      // prompt schedules count calls of the model
        var conditioning = new Conditioning(model.TextEncoder, request.Emphasis, request.ClipSkip);
        var guided = new GuidedModel(model.UNet, sigmas, model.Prediction == PredictionHint.V,
            conditioning.Positive(request.Prompt, calls), conditioning.Negative(request.NegativePrompt, calls), request.CfgScale);

        var cells = request.Size.ToLatent();
        using var noise = new SeedNoise(request.Noise, request.Seed, model.UNet.Spec.LatentChannels, cells.Height, cells.Width);
        var start = Next() * plan.StartScale;
        var walk = new SamplerWalk(guided.Denoise, guided.PredictNoise, (_, _) => Next(), plan.Sigmas, plan.Timesteps, sigmas.Schedule, request.SamplerOptions, step =>
        {
            progress?.Report(new(step.Step + 1, plan.Steps));
            cancel.ThrowIfCancellationRequested();
        });
        cancel.ThrowIfCancellationRequested();
        return (choice.Sampler.Walk(walk, start), notes);

        Tensor Next() => noise.Next().unsqueeze(0).to(model.Compute.Device);
    }
}
