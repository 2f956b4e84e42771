using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>One pass over a batch: its levels, and the calls of the model that prompt schedules count.</summary>
internal sealed record PassPlan(SamplingPlan Plan, int Calls);

/// <summary>The ways of one batch: from noise or a picture to latents, and from those through a second pass at a larger size.</summary>
internal sealed class PictureWalk
{
    private readonly StableDiffusion model;
    private readonly ModelSigmas sigmas;
    private readonly GenerationRequest request;
    private readonly IReadOnlyList<GenerationRequest> pictures;
    private readonly CancellationToken cancel;

    public PictureWalk(StableDiffusion model, ModelSigmas sigmas, GenerationRequest request, IReadOnlyList<GenerationRequest> pictures, CancellationToken cancel)
    {
        (this.model, this.sigmas, this.request, this.pictures, this.cancel) = (model, sigmas, request, pictures, cancel);
        var share = request.Img2Img is { } img2img ? Img2ImgSteps.For(request.Steps, img2img.Denoise, img2img.ExactSteps) : (Img2ImgSteps?)null;
        FirstPlan = Plan(request.Sampler, request.Steps, share);
        if (request.Hires is { } hires)
        {
            var steps = hires.Steps > 0 ? hires.Steps : request.Steps;
            SecondPlan = Plan(hires.Sampler ?? request.Sampler, steps, Img2ImgSteps.For(steps, hires.Denoise, exactly: true));
        }
    }

    /// <summary>The only pass, or the first.</summary>
    public PassPlan FirstPlan { get; }

    /// <summary>The second pass; null without one.</summary>
    public PassPlan? SecondPlan { get; }

    /// <summary>Makes the request's picture ready to begin with. The caller's scope owns its tensors.</summary>
    public InitialPicture Begin() => InitialPicture.Of(request.Img2Img!, request.Size, model, () =>
    {
        var cells = request.Size.ToLatent();
        List<Tensor> noises = [];
        foreach (var picture in pictures)
        {
            using var source = new SeedNoise(request.Noise, picture.Seed, Shape(request.Size));
            noises.Add(source.Next());
        }
        return stack([.. noises]).to(model.Compute.Device);
    }, pictures.Count, request.TileSize);

    /// <summary>Walks the first pass, [B, 4, H, W]; the caller's scope owns the result.</summary>
    public Tensor First(Guidance guidance, Refinement? refinement, InitialPicture? initial, Action<SamplerStep> onStep)
    {
        using var scope = NewDisposeScope();
        var img2img = request.Img2Img;
        if (img2img is { Denoise: 0, ExactSteps: true }) return initial!.Latent.alias().MoveToOuterDisposeScope();
        using var noise = Noise(FirstPlan.Plan, request.Size);
        var further = initial?.Further ?? FurtherForNoise(request.Size);
        var latent = Walk(FirstPlan.Plan, guidance, refinement, noise, initial?.Latent, initial?.Mask, further, img2img?.NoiseMultiplier ?? 1, img2img?.ExtraNoise ?? 0, onStep);
        return (initial?.Mask?.Blend(latent) ?? latent).MoveToOuterDisposeScope();
    }

    /// <summary>Enlarges latents and walks the second pass, [B, 4, H, W]; the caller's scope owns the result.</summary>
    public Tensor Second(Guidance guidance, Refinement? refinement, Tensor latent, Action<SamplerStep> onStep)
    {
        using var scope = NewDisposeScope();
        var hires = request.Hires!;
        var (drawn, enlarged) = hires.SizesFor(request.Size);
        var larger = Cut(Enlarged(latent, hires.Upscaler, enlarged), drawn.ToLatent());
        if (hires.Denoise == 0) return larger.MoveToOuterDisposeScope();
        using var noise = Noise(SecondPlan!.Plan, drawn);
        return Walk(SecondPlan.Plan, guidance, refinement, noise, larger, null, FurtherForNoise(drawn), 1, 0, onStep).MoveToOuterDisposeScope();
    }

    private Tensor Walk(SamplingPlan plan, Guidance guidance, Refinement? refinement, PictureNoise noise, Tensor? initial, LatentMask? mask, Tensor? further, double multiplier, double extra, Action<SamplerStep> onStep)
    {
        using var scope = NewDisposeScope();
        var guided = new GuidedModel(model.UNet.forward, sigmas, model.Prediction == PredictionHint.V, guidance) { Mask = mask, Further = further, Refinement = refinement };
        var fresh = noise.First();
        if (multiplier != 1) fresh = fresh * multiplier;
        var start = fresh * plan.StartScale;
        if (initial is not null) start = (extra == 0 ? initial : initial + fresh * extra) * plan.SignalScale + start;
        if (request.Kohya is { } kohya) return Walk(kohya, guided, fresh, noise, onStep).MoveToOuterDisposeScope();
        var walk = new SamplerWalk(plan, guided.Denoise(plan.Sampler), guided.PredictNoise, noise.Next, request.SamplerOptions, onStep) { PredictPair = guided.PredictPair };
        cancel.ThrowIfCancellationRequested();
        return plan.Sampler.Walk(walk, start).MoveToOuterDisposeScope();
    }

    private Tensor Walk(KohyaSampler sampler, GuidedModel guided, Tensor fresh, PictureNoise noise, Action<SamplerStep> onStep)
    {
        var walk = new KohyaWalk(guided.Predict, request.Steps, NoiseSchedule.Sd1(), noise.First) { PredictsV = model.Prediction == PredictionHint.V, OnStep = onStep };
        cancel.ThrowIfCancellationRequested();
        return sampler.Walk(walk, fresh * sampler.StartScale(walk));
    }

    private Tensor Enlarged(Tensor latent, string upscaler, PixelSize size)
    {
        var cells = size.ToLatent();
        var known = Upscalers.Find(upscaler);
        if (known?.Latents is { } resize) return resize(latent, cells.Height, cells.Width);
        if (known is not null) return Redrawn(latent, picture => known.Pictures!(picture, size));
        using var network = UpscaleModel.Open(upscaler, model.Compute);
        return Redrawn(latent, picture => new PictureEnlarger(network).Enlarge(picture, size));
    }

    /// <summary>Latents by way of pictures.</summary>
    private Tensor Redrawn(Tensor latents, Func<Picture, Picture> enlarge) => cat([.. Enumerable.Range(0, pictures.Count).Select(i =>
        model.EncodeScaled(enlarge(Picture.Of(model.DecodeScaled(latents.narrow(0, i, 1), request.TileSize))).ToTensor(), request.TileSize))]);

    /// <summary>The middle of a latent.</summary>
    private static Tensor Cut(Tensor latent, LatentSize cells)
    {
        var (extraHeight, extraWidth) = (latent.shape[2] - cells.Height, latent.shape[3] - cells.Width);
        return extraHeight + extraWidth == 0 ? latent : latent.narrow(2, extraHeight / 2, cells.Height).narrow(3, extraWidth / 2, cells.Width).contiguous();
    }

    private Tensor? FurtherForNoise(PixelSize size) =>
        model.UNet.Spec.FurtherChannels > 0 ? InitialPicture.FurtherForNoise(model, size, pictures.Count, request.TileSize) : null;

    private PictureNoise Noise(SamplingPlan plan, PixelSize size) =>
        new(request.Noise, [.. pictures.Select(picture => (picture.Seed, picture.SeedOptions.ForNoise()))], plan, Shape(size), model.Compute.Device);

    private long[] Shape(PixelSize size) => [model.UNet.Spec.LatentChannels, size.ToLatent().Height, size.ToLatent().Width];

    private PassPlan Plan(string sampler, int steps, Img2ImgSteps? share)
    {
        var choice = SamplerChoice.Parse(sampler);
        var options = request.ScheduleOptions with { Schedule = choice.Schedule ?? request.ScheduleOptions.Schedule };
        var plan = share is { Steps: > 0 } part ? SamplingPlan.ForPicture(choice.Sampler, part, sigmas, options) : SamplingPlan.For(choice.Sampler, steps, sigmas, options);
        return new(plan, steps * (choice.Sampler.SecondOrder ? 2 : 1));             // prompt schedules count calls of the model
    }
}
