using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>The noise levels a model was trained at, and the way between level σ and (possibly fractional) timestep t: linear in ln σ, held at both ends.</summary>
/// <remarks>Karras et al. 2022, https://arxiv.org/abs/2206.00364, appendix C.3.4; k-diffusion's <c>DiscreteSchedule</c>.</remarks>
public sealed class ModelSigmas
{
    private readonly float[] logs;
    private readonly float[] levels;
    private readonly int first, stride;

    /// <param name="schedule">The schedule the model was trained with, in the samplers' rounding.</param>
    public ModelSigmas(NoiseSchedule schedule) : this(schedule, 1) { }

    private ModelSigmas(NoiseSchedule schedule, int stride)
    {
        (Schedule, this.stride, first) = (schedule, stride, stride - 1);
        levels = [.. schedule.Sigmas.Where((_, t) => (t + 1) % stride == 0)];
        using var scope = NewDisposeScope();
        logs = tensor(levels).log().data<float>().ToArray();
    }

    /// <summary>The schedule behind the levels.</summary>
    public NoiseSchedule Schedule { get; }

    /// <summary>The quietest level, 0.0292 for SD.</summary>
    public double Min => levels[0];

    /// <summary>The loudest level, 14.61 for SD.</summary>
    public double Max => levels[^1];

    /// <summary>Levels known.</summary>
    public int Count => logs.Length;

    /// <summary>The known levels, rising.</summary>
    public IReadOnlyList<float> Levels => levels;

    /// <summary>Only every <paramref name="stride"/>-th level, counted so that the loudest stays: what a distilled model was trained at.</summary>
    public ModelSigmas Every(int stride) => new(Schedule, stride);

    /// <summary>The level at place <paramref name="t"/> among the known ones, 0 to <see cref="Count"/> − 1; the model's timestep where it knows all levels.</summary>
    public double SigmaOf(double t)
    {
        using var scope = NewDisposeScope();
        return SigmasOf(tensor((float)t)).item<float>();
    }

    /// <summary><see cref="SigmaOf"/> of many places, fp32 [n], rounded as the reference rounds a tensor of that length.</summary>
    internal Tensor SigmasOf(Tensor places)
    {
        using var scope = NewDisposeScope();
        places = places.clamp(0, Count - 1);
        var (low, share) = (places.floor(), places.frac());
        var known = tensor(logs);
        return ((1 - share) * known[low.to(ScalarType.Int64)] + share * known[places.ceil().to(ScalarType.Int64)]).exp().MoveToOuterDisposeScope();
    }

    /// <summary>The place of level <paramref name="sigma"/>, fractional between the known levels; the model's timestep where it knows all levels.</summary>
    public double TimestepOf(double sigma)
    {
        var log = Math.Log(sigma);
        var low = Math.Clamp(Array.FindLastIndex(logs, known => known <= log), 0, Count - 2);
        var share = Math.Clamp((logs[low] - log) / (logs[low] - logs[low + 1]), 0, 1);
        return (1 - share) * low + share * (low + 1);
    }

    /// <summary>The known level nearest to <paramref name="sigma"/> as a timestep of the model, 0 to 999.</summary>
    public int NearestTimestepOf(double sigma)
    {
        var log = Math.Log(sigma);
        return first + stride * Enumerable.Range(0, Count).MinBy(place => Math.Abs(logs[place] - log));
    }
}
