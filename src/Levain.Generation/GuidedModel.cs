using Levain.Diffusion;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>The denoising network: rows of latents [R, C, H, W], their timesteps [R] and text states [R, M, context] in, predictions [R, 4, H, W] out.</summary>
internal delegate Tensor PredictRows(Tensor latents, Tensor times, Tensor contexts);

/// <summary>What guides the pictures of one batch.</summary>
/// <param name="Positive">The parts of each picture's prompt.</param>
/// <param name="Negative">The negative prompt of all.</param>
/// <param name="Scale">CFG scale.</param>
/// <param name="Options">Everything else.</param>
/// <param name="Calls">Calls of the model in all, of which <see cref="GuidanceOptions.SkipEarly"/> is a share.</param>
internal sealed record Guidance(IReadOnlyList<IReadOnlyList<ConditioningPart>> Positive, ConditioningPart Negative, double Scale, GuidanceOptions Options, int Calls)
{
    /// <summary>States of the empty prompt, [1, 77, context], for <see cref="ConditioningPadding.Empty"/>.</summary>
    public Tensor? Empty { get; init; }
}

/// <summary>Another network that takes over on the way.</summary>
/// <param name="UNet">The network.</param>
/// <param name="Guidance">What guides it: the same prompts in its own text encoder's words.</param>
/// <param name="SwitchAt">The share of the model's timesteps after which it does, 0 to 1.</param>
/// <param name="PredictsV">Whether it predicts v.</param>
internal sealed record Refinement(PredictRows UNet, Guidance Guidance, double SwitchAt, bool PredictsV);

/// <summary>The U-Net as samplers see it: guided towards the prompt and away from the negative one.</summary>
/// <remarks>Ho and Salimans 2022, https://arxiv.org/abs/2207.12598; joined prompts by Liu et al. 2022, https://arxiv.org/abs/2206.01714; the rest as the webui's <c>CFGDenoiser</c>.</remarks>
internal sealed class GuidedModel(PredictRows unet, ModelSigmas sigmas, bool predictsV, Guidance guidance)
{
    private const double LastTimestep = 999, Timesteps = 1000;       // the webui's share: (999 − t) ÷ 1000

    private int calls;

    /// <summary>What of the original is kept; null where everything is drawn.</summary>
    public LatentMask? Mask { get; init; }

    /// <summary>Further channels behind every latent, [B, 5, H, W], for inpainting models; null for others.</summary>
    public Tensor? Further { get; init; }

    /// <summary>Who takes over on the way; null where nobody does.</summary>
    public Refinement? Refinement { get; set; }

    /// <summary>The clean latent as the model guesses it, <see cref="Diffusion.Denoise"/>, by the sampler's own rule where it has one.</summary>
    public Denoise Denoise(Sampler sampler)
    {
        var denoise = sampler.Denoiser?.Invoke((x, t) => Noise(x, t, Guided(x, t, t)), sampler.Levels?.Invoke(sigmas) ?? sigmas) ?? Clean;
        return Mask is null ? denoise : (x, sigma) =>
        {
            using var scope = NewDisposeScope();
            return Mask.Blend(denoise(x, sigma)).MoveToOuterDisposeScope();
        };
    }

    /// <summary>What the model says, noise or v, guided; see <see cref="PredictAt"/>.</summary>
    public Tensor Predict(Tensor scaled, double t) => Guided(scaled, t, t);

    /// <summary>The noise as the model guesses it; see <see cref="Diffusion.PredictNoise"/>.</summary>
    public Tensor PredictNoise(Tensor x, double t)
    {
        using var scope = NewDisposeScope();
        x = Mask?.Blend(x) ?? x;
        return Noise(x, t, Guided(x, t, t)).MoveToOuterDisposeScope();
    }

    /// <summary>The same beside the negative prompt's own guess; see <see cref="Diffusion.PredictNoisePair"/>.</summary>
    public NoisePair PredictPair(Tensor x, double t, double scaleFactor)
    {
        using var scope = NewDisposeScope();
        x = Mask?.Blend(x) ?? x;
        var (guided, negative) = Guided(x, t, t, guidance.Scale * scaleFactor, needsNegative: true);
        return new(Noise(x, t, guided).MoveToOuterDisposeScope(), Noise(x, t, negative!).MoveToOuterDisposeScope());
    }

    private Tensor Clean(Tensor x, double sigma)
    {
        using var scope = NewDisposeScope();
        var size = Math.Sqrt(sigma * sigma + 1);
        var guess = Guided(x / size, guidance.Options.WholeTimesteps ? sigmas.NearestTimestepOf(sigma) : sigmas.TimestepOf(sigma), sigma);
        var clean = predictsV ? x / (size * size) - guess * (sigma / size) : x - guess * sigma;
        return clean.MoveToOuterDisposeScope();
    }

    private Tensor Noise(Tensor x, double t, Tensor guess)
    {
        if (!predictsV) return guess;
        double alpha = sigmas.Schedule.AlphasCumprod[(int)t];
        return guess * Math.Sqrt(alpha) + x * Math.Sqrt(1 - alpha);
    }

    private Tensor Guided(Tensor scaled, double t, double level) => Guided(scaled, t, level, guidance.Scale, needsNegative: false).Guided;

    /// <summary>u + Σ wᵢ·s·(cᵢ − u) for each picture.</summary>
    /// <param name="level">What the lower limit of the negative prompt is compared with.</param>
    private (Tensor Guided, Tensor? Negative) Guided(Tensor scaled, double t, double level, double scale, bool needsNegative)
    {
        using var scope = NewDisposeScope();
        if (Refinement is { } refined && (LastTimestep - Math.Round(t)) / Timesteps >= refined.SwitchAt) (unet, guidance, predictsV, Refinement) = (refined.UNet, refined.Guidance, refined.PredictsV, null);
        var (images, call, options) = (guidance.Positive.Count, calls++, guidance.Options);
        var leavesOut = LeavesNegativeOut(call, level);
        // With one part of weight 1 at scale 1 nothing of the negative prompt is left.
        var cannotMatter = guidance.Positive.All(parts => parts.Count == 1 && parts[0].Weight * scale == 1);
        var asksNegative = needsNegative || !leavesOut && !cannotMatter;

        var positive = Evened([.. guidance.Positive.SelectMany((parts, image) => parts.Select(part => (Image: image, States: part.At(call))))]);
        var negative = asksNegative ? guidance.Negative.At(call) : null;
        if (negative is not null) (positive, negative) = Padded(positive, negative);
        var rows = negative is null ? positive : [.. positive, .. Enumerable.Range(0, images).Select(image => (image, negative))];
        var predictions = Predict(scaled, t, rows);

        var (results, negatives, row) = (new List<Tensor>(), new List<Tensor>(), 0);
        for (var image = 0; image < images; image++)
        {
            var parts = guidance.Positive[image];
            var own = predictions.Skip(row).Take(parts.Count).ToList();
            row += parts.Count;
            // Where the negative prompt is left out its place is taken by the first part.
            var from = negative is null || leavesOut ? own[0] : predictions[positive.Count + image];
            var guided = parts.Count == 1 && parts[0].Weight * scale == 1 ? own[0] : Towards(from, own, parts, scale);
            results.Add(options.Rescale > 0 ? CfgRescale.Apply(guided, Towards(from, own, parts, 1), options.Rescale) : guided);
            if (needsNegative) negatives.Add(from);
        }
        return (cat(results).MoveToOuterDisposeScope(), needsNegative ? cat(negatives).MoveToOuterDisposeScope() : null);
    }

    private static Tensor Towards(Tensor from, IEnumerable<Tensor> predictions, IEnumerable<ConditioningPart> parts, double scale) =>
        predictions.Zip(parts, (guess, part) => (guess - from) * (part.Weight * scale)).Aggregate(from, (sum, term) => sum + term);

    private bool LeavesNegativeOut(int call, double level)
    {
        var options = guidance.Options;
        if (options.SkipEarly > 0 && (double)call / guidance.Calls <= options.SkipEarly) return true;
        return options.NegativeMinSigma > 0 && level < options.NegativeMinSigma && (call % 2 == 1 || options.NegativeMinSigmaAlways);
    }

    /// <summary>Parts of different lengths brought to the longest: the last state is repeated, as the webui does.</summary>
    private static List<(int Image, Tensor States)> Evened(List<(int Image, Tensor States)> parts)
    {
        var longest = parts.Max(part => part.States.shape[1]);
        return [.. parts.Select(part => (part.Image, Lengthened(part.States, longest)))];
    }

    private static Tensor Lengthened(Tensor states, long length)
    {
        var missing = length - states.shape[1];
        return missing <= 0 ? states : cat([states, states.narrow(1, states.shape[1] - 1, 1).expand(-1, missing, -1)], 1);
    }

    private (List<(int Image, Tensor States)> Positive, Tensor Negative) Padded(List<(int Image, Tensor States)> positive, Tensor negative)
    {
        var (length, other) = (positive[0].States.shape[1], negative.shape[1]);
        if (length == other || guidance.Options.Padding == ConditioningPadding.None) return (positive, negative);
        if (guidance.Options.Padding == ConditioningPadding.RepeatLast)
            return (positive, other > length ? negative.narrow(1, 0, length) : Lengthened(negative, length));
        return ([.. positive.Select(part => (part.Image, Filled(part.States, other)))], Filled(negative, length));

        Tensor Filled(Tensor states, long length)
        {
            var missing = (int)((length - states.shape[1]) / guidance.Empty!.shape[1]);
            return missing <= 0 ? states : cat([states, .. Enumerable.Repeat(guidance.Empty!, missing)], 1);
        }
    }

    /// <summary>One prediction a row; rows of one length go through the model together.</summary>
    private Tensor[] Predict(Tensor scaled, double t, List<(int Image, Tensor States)> rows)
    {
        var predictions = new Tensor[rows.Count];
        var given = Further is null ? scaled : cat([scaled, Further], 1);
        foreach (var group in Enumerable.Range(0, rows.Count).GroupBy(i => rows[i].States.shape[1]))
        {
            foreach (var members in group.Chunk(guidance.Options.Apart ? guidance.Positive.Count : rows.Count))
            {
                var latents = members.Length == 1 && given.shape[0] == 1 ? given : cat([.. members.Select(i => given.narrow(0, rows[i].Image, 1))]);
                var together = unet(latents, full([members.Length], (float)t, ScalarType.Float32, given.device), cat([.. members.Select(i => rows[i].States)]));
                for (var i = 0; i < members.Length; i++) predictions[members[i]] = together.narrow(0, i, 1);
            }
        }
        return predictions;
    }
}
