using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>The levels a sampler walks down, loudest first; almost always with a 0 at the end.</summary>
/// <param name="Name">The webui's label, <c>Karras</c>.</param>
/// <param name="Summary">One line for menus.</param>
/// <param name="DefaultRho">ρ where the schedule has one; else 0.</param>
/// <param name="Sigmas">Computes the levels.</param>
public sealed record SigmaSchedule(string Name, string Summary, double DefaultRho, Func<SigmaRequest, IEnumerable<double>> Sigmas);

/// <summary>What a schedule is computed from.</summary>
/// <param name="Steps">Levels wanted, without the 0.</param>
/// <param name="Model">Levels the model knows.</param>
/// <param name="Min">Quietest level wanted.</param>
/// <param name="Max">Loudest level wanted.</param>
/// <param name="Rho">Bend of the schedules that have one.</param>
/// <param name="BetaA">α of the Beta schedule.</param>
/// <param name="BetaB">β of the Beta schedule.</param>
/// <param name="Sdxl">Whether the model is SDXL, for which Align Your Steps has other levels.</param>
public sealed record SigmaRequest(int Steps, ModelSigmas Model, double Min, double Max, double Rho, double BetaA = 0.6, double BetaB = 0.6, bool Sdxl = false);

/// <summary>Every schedule of noise levels.</summary>
[Catalog]
public static partial class SigmaSchedules
{
    /// <summary>All schedules, in name order.</summary>
    public static partial IReadOnlyList<SigmaSchedule> All { get; }

    /// <summary>n numbers from <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    internal static IEnumerable<double> Even(double first, double last, int n) =>
        Enumerable.Range(0, n).Select(i => n == 1 ? first : first + (last - first) * i / (n - 1));

    /// <summary>The levels and a 0.</summary>
    internal static IEnumerable<double> ToZero(IEnumerable<double> sigmas) => sigmas.Append(0);

    /// <summary>Levels computed in fp32 by libtorch's own operations, as the references do: a Brownian motion shows their last bits.</summary>
    internal static IEnumerable<double> Levels(Func<Tensor> compute)
    {
        using var scope = NewDisposeScope();
        return compute().data<float>().ToArray().Select(level => (double)level);
    }
}
