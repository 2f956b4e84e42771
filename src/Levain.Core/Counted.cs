using System.Globalization;

namespace Levain.Core;

/// <summary>Numbers of things as people write them: <c>1 step</c>, <c>1,600 steps</c>.</summary>
public static class Counted
{
    /// <summary>A number and what is counted.</summary>
    /// <param name="one">One of it.</param>
    /// <param name="more">Several; null for <paramref name="one"/> with an s.</param>
    public static string Of(long number, string one, string? more = null) => string.Create(CultureInfo.InvariantCulture, $"{number:N0} {(number == 1 ? one : more ?? $"{one}s")}");
}
