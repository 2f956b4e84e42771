using System.Runtime.Intrinsics;

namespace Levain.Training.Orthogonal;

/// <summary>How a gradient joins the momentum.</summary>
/// <param name="Keep">Share of the old momentum that stays.</param>
/// <param name="Nesterov">Whether the update is along gradient and momentum as they will be.</param>
internal readonly record struct MomentumMix(double Keep, bool Nesterov)
{
    /// <summary>The momentum takes the gradient in; the gradient becomes the update.</summary>
    public unsafe void Apply(float* gradient, float* momentum, int count)
    {
        var (keep, join) = ((float)Keep, (float)(1 - Keep));
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var g = Vector512.Load(gradient + i) * join;
            var m = Vector512.Load(momentum + i) * keep + g;
            m.Store(momentum + i);
            (Nesterov ? g + m * keep : m).Store(gradient + i);
        }
        for (; i < count; i++)
        {
            var g = gradient[i] * join;
            momentum[i] = momentum[i] * keep + g;
            gradient[i] = Nesterov ? g + momentum[i] * keep : momentum[i];
        }
    }
}
