using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>The U-Net as samplers see it: guided towards the prompt and away from the negative one.</summary>
/// <remarks>Ho and Salimans 2022, https://arxiv.org/abs/2207.12598; joined prompts by Liu et al. 2022, https://arxiv.org/abs/2206.01714.</remarks>
internal sealed class GuidedModel(UNet unet, ModelSigmas sigmas, bool predictsV, IReadOnlyList<ConditioningPart> positive, ConditioningPart negative, double scale)
{
    private int calls;

    /// <summary>The clean latent as the model guesses it; see <see cref="Diffusion.Denoise"/>.</summary>
    public Tensor Denoise(Tensor x, double sigma)
    {
        using var scope = NewDisposeScope();
        var size = Math.Sqrt(sigma * sigma + 1);
        var guess = Guided(x / size, sigmas.TimestepOf(sigma));
        var clean = predictsV ? x / (size * size) - guess * (sigma / size) : x - guess * sigma;
        return clean.MoveToOuterDisposeScope();
    }

    /// <summary>The noise as the model guesses it; see <see cref="Diffusion.PredictNoise"/>.</summary>
    public Tensor PredictNoise(Tensor x, double t)
    {
        using var scope = NewDisposeScope();
        var guess = Guided(x, t);
        if (!predictsV) return guess.MoveToOuterDisposeScope();
        double alpha = sigmas.Schedule.AlphasCumprod[(int)t];
        return (guess * Math.Sqrt(alpha) + x * Math.Sqrt(1 - alpha)).MoveToOuterDisposeScope();
    }

    /// <summary>u + Σ wᵢ·s·(cᵢ − u). Where nothing of u is left (one part of weight 1 at scale 1) it is not computed.</summary>
    private Tensor Guided(Tensor scaled, double t)
    {
        var call = calls++;
        var contexts = positive.Select(part => part.At(call)).ToList();
        var weights = positive.Select(part => part.Weight * scale).ToList();
        var left = 1 - weights.Sum();
        if (left != 0 || weights.Count > 1)
        {
            contexts.Add(negative.At(call));
            weights.Add(left);
        }
        return Predict(scaled, t, contexts).Zip(weights, (guess, weight) => guess * weight).Aggregate((sum, term) => sum + term);
    }

    /// <summary>One prediction a context; contexts of one length go through the U-Net together.</summary>
    private IReadOnlyList<Tensor> Predict(Tensor scaled, double t, List<Tensor> contexts)
    {
        var predictions = new Tensor[contexts.Count];
        foreach (var group in Enumerable.Range(0, contexts.Count).GroupBy(i => contexts[i].shape[1]))
        {
            var members = group.ToList();
            var times = full([members.Count], (float)t, ScalarType.Float32);
            var together = unet.forward(scaled.expand(members.Count, -1, -1, -1), times, cat([.. members.Select(i => contexts[i])]));
            for (var i = 0; i < members.Count; i++) predictions[members[i]] = together.narrow(0, i, 1);
        }
        return predictions;
    }
}
