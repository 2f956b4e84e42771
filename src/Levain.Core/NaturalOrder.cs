namespace Levain.Core;

/// <summary>Orders names as people do: numbers in them by value, letters whatever their case.</summary>
public sealed class NaturalOrder : IComparer<string>
{
    /// <summary>The order.</summary>
    public static NaturalOrder Instance { get; } = new();

    /// <inheritdoc/>
    public int Compare(string? x, string? y)
    {
        ReadOnlySpan<char> left = x, right = y;
        while (!left.IsEmpty && !right.IsEmpty)
        {
            var (a, b) = (Digits(left), Digits(right));
            var numbers = a > 0 && b > 0;
            var order = numbers ? ByValue(left[..a], right[..b]) : char.ToLowerInvariant(left[0]).CompareTo(char.ToLowerInvariant(right[0]));
            if (order != 0) return order;
            left = left[(numbers ? a : 1)..];
            right = right[(numbers ? b : 1)..];
        }
        return left.Length.CompareTo(right.Length);
    }

    private static int Digits(ReadOnlySpan<char> text)
    {
        var count = 0;
        while (count < text.Length && char.IsAsciiDigit(text[count])) count++;
        return count;
    }

    private static int ByValue(ReadOnlySpan<char> left, ReadOnlySpan<char> right)
    {
        left = left.TrimStart('0');
        right = right.TrimStart('0');
        return left.Length != right.Length ? left.Length.CompareTo(right.Length) : left.SequenceCompareTo(right);
    }
}
