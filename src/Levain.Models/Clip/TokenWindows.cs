using static TorchSharp.torch;

namespace Levain.Models.Clip;

/// <summary>One caption as the windows of 77 ids that the text encoder reads one by one, with a weight per id where the caption has weights.</summary>
/// <param name="Ids">Windows of 77 ids: BOS, 75 ids, and the last id of the whole (EOS).</param>
/// <param name="Weights">A weight per id (1 for BOS, EOS and padding), or null where all are 1.</param>
/// <remarks>kohya's <c>max_token_length</c> 75, 150, 225: one, two or three windows, however short the caption.</remarks>
public sealed record TokenWindows(int[][] Ids, float[][]? Weights = null)
{
    /// <summary>Ids in one window, BOS and EOS included.</summary>
    public const int Length = 77;

    /// <summary>Ids of the caption in one window.</summary>
    public const int Inner = 75;

    /// <summary>Cuts <paramref name="ids"/> to <paramref name="maxTokens"/> and lays them into windows.</summary>
    /// <param name="ids">Ids without BOS and EOS, as <see cref="ClipTokenizer.Encode(string)"/> gives them.</param>
    /// <param name="maxTokens">75, 150 or 225.</param>
    /// <param name="weights">A weight per id, or null.</param>
    public static TokenWindows Of(IReadOnlyList<int> ids, int maxTokens = Inner, IReadOnlyList<float>? weights = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxTokens);
        ArgumentOutOfRangeException.ThrowIfNotEqual(maxTokens % Inner, 0);
        var windows = Enumerable.Range(0, maxTokens / Inner);
        return new(
            [.. windows.Select(window => Window(ids, window, ClipTokenizer.Start, ClipTokenizer.End))],
            weights is null ? null : [.. windows.Select(window => Window(weights, window, 1f, 1f))]);
    }

    /// <summary>Tokenizes <paramref name="text"/> and lays it into windows.</summary>
    public static TokenWindows Of(string text, int maxTokens = Inner) => Of(ClipTokenizer.Instance.Encode(text), maxTokens);

    /// <summary>Tokenizes pieces of text that carry a weight each; every piece by itself, so a word split between two becomes two words.</summary>
    public static TokenWindows Of(IEnumerable<(string Text, double Weight)> pieces, int maxTokens = Inner)
    {
        List<int> ids = [];
        List<float> weights = [];
        foreach (var (text, weight) in pieces)
        {
            var piece = ClipTokenizer.Instance.Encode(text);
            ids.AddRange(piece);
            weights.AddRange(Enumerable.Repeat((float)weight, piece.Length));
        }
        return Of(ids, maxTokens, weights);
    }

    /// <summary>The ids as a tensor, int64 [windows, 77].</summary>
    public Tensor IdsTensor() => tensor(Ids.SelectMany(window => window).Select(id => (long)id).ToArray(), Ids.Length, Length);

    private static T[] Window<T>(IReadOnlyList<T> values, int window, T first, T rest)
    {
        var result = new T[Length];
        Array.Fill(result, rest);
        result[0] = first;
        var from = window * Inner;
        for (var i = 0; i < Inner && from + i < values.Count; i++) result[1 + i] = values[from + i];
        return result;
    }
}
