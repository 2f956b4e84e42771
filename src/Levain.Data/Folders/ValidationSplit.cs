using System.Security.Cryptography;
using System.Text;
using Levain.Core;

namespace Levain.Data;

/// <summary>Sets some pictures of a subset aside for validation.</summary>
public static class ValidationSplit
{
    /// <summary>The pictures of a training or of a validation dataset.</summary>
    /// <param name="pictures">All pictures of the subset, in order.</param>
    /// <param name="nameOf">A picture's file name.</param>
    /// <param name="share">Share for validation, 0..1.</param>
    /// <param name="seed">Seed of the split; null: the run's numbers under <see cref="Compat.OverlappingValidation"/>, else 0.</param>
    /// <param name="training">Which part is asked for.</param>
    /// <param name="compat">By default a picture's name decides, so that the split is stable when pictures come and go, and no picture is in both.</param>
    /// <param name="random">The run's random numbers.</param>
    public static IReadOnlyList<T> Take<T>(IReadOnlyList<T> pictures, Func<T, string> nameOf, double share, long? seed, bool training, Compat compat, PythonRandom random)
    {
        if (compat.OverlappingValidation) return Shuffled(pictures, share, seed, training, random);
        var count = (int)Math.Round(pictures.Count * share);
        var chosen = Enumerable.Range(0, pictures.Count).OrderBy(i => Order(nameOf(pictures[i]), seed ?? 0), StringComparer.Ordinal).Take(count).ToHashSet();
        return [.. pictures.Where((_, i) => chosen.Contains(i) != training)];
    }

    // K-21: both parts are rounded up on their own, so that one picture can be in both.
    private static List<T> Shuffled<T>(IReadOnlyList<T> pictures, double share, long? seed, bool training, PythonRandom random)
    {
        var shuffled = pictures.ToList();
        (seed is { } own ? new PythonRandom(own) : random).Shuffle(shuffled);
        return training
            ? shuffled[..Math.Clamp((int)Math.Ceiling(shuffled.Count * (1 - share)), 0, shuffled.Count)]
            : shuffled[Math.Clamp(shuffled.Count - (int)Math.Round(shuffled.Count * share, MidpointRounding.ToEven), 0, shuffled.Count)..];
    }

    private static string Order(string name, long seed) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{seed}/{name}")));
}
