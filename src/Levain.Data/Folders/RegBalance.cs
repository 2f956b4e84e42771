namespace Levain.Data;

/// <summary>Brings the number of regularization pictures to that of the training pictures.</summary>
public static class RegBalance
{
    /// <summary>Repeats of each regularization picture, in order; 0: not used.</summary>
    /// <param name="repeats">Repeats asked for, of each picture in order.</param>
    /// <param name="wanted">Training pictures times their repeats.</param>
    /// <remarks>The first round takes every picture with its own repeats, each further round adds one; it stops as soon as there are enough,
    /// so that of too many pictures only the first are used (K-37).</remarks>
    public static IReadOnlyList<long> Repeats(IReadOnlyList<long> repeats, long wanted)
    {
        var used = new long[repeats.Count];
        var total = 0L;
        var first = true;
        while (total < wanted && repeats.Count > 0)
        {
            for (var i = 0; i < used.Length && total < wanted; i++)
            {
                var added = first ? repeats[i] : 1;
                used[i] += added;
                total += added;
            }
            first = false;
        }
        return used;
    }
}
