using Levain.Diffusion;
using Levain.Models.Clip;

namespace Levain.Generation;

/// <summary>77 token ids and the weight of each.</summary>
public sealed record PromptChunk(int[] Ids, double[] Weights)
{
    /// <summary>A chunk without a word.</summary>
    public static PromptChunk Empty { get; } = Filled([], []);

    internal static PromptChunk Filled(IReadOnlyList<int> ids, IReadOnlyList<double> weights)
    {
        var rest = Math.Max(TokenWindows.Inner - ids.Count, 0);
        return new(
            [ClipTokenizer.Start, .. ids, .. Enumerable.Repeat(ClipTokenizer.End, rest), ClipTokenizer.End],
            [1, .. weights, .. Enumerable.Repeat(1.0, rest), 1]);
    }
}

/// <summary>A prompt cut into chunks of 75 tokens as the webui cuts it: at <c>BREAK</c>, and rather behind a comma than within a phrase.</summary>
/// <param name="Chunks">At least one.</param>
/// <param name="TokenCount">Tokens counted, full chunks as 75.</param>
public sealed record PromptChunks(IReadOnlyList<PromptChunk> Chunks, int TokenCount)
{
    /// <summary>How far back a comma is looked for, in tokens; the webui's default.</summary>
    public const int CommaBacktrack = 20;

    private const int Comma = 267;

    /// <summary>Cuts a prompt without schedules and network tags.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="emphasis">With <see cref="Emphasis.None"/> brackets are text.</param>
    /// <param name="commaBacktrack">How far back a comma is looked for; 0 cuts anywhere.</param>
    public static PromptChunks Of(string text, Emphasis emphasis = Emphasis.Original, int commaBacktrack = CommaBacktrack)
    {
        var chunks = new List<PromptChunk>();
        List<int> ids = [];
        List<double> weights = [];
        var (lastComma, count) = (-1, 0);
        foreach (var piece in emphasis == Emphasis.None ? [new(text, 1)] : PromptAttention.Parse(text))
        {
            if (piece.IsBreak)
            {
                Close(isLast: false);
                continue;
            }
            foreach (var id in ClipTokenizer.Instance.Encode(piece.Text))
            {
                if (id == Comma) lastComma = ids.Count;
                else if (commaBacktrack > 0 && ids.Count == TokenWindows.Inner && lastComma >= 0 && ids.Count - lastComma <= commaBacktrack) MovePhrase(lastComma + 1);
                if (ids.Count == TokenWindows.Inner) Close(isLast: false);
                ids.Add(id);
                weights.Add(piece.Weight);
            }
        }
        if (ids.Count > 0 || chunks.Count == 0) Close(isLast: true);
        return new(chunks, count);

        void MovePhrase(int from)
        {
            var (movedIds, movedWeights) = (ids[from..], weights[from..]);
            (ids, weights) = (ids[..from], weights[..from]);
            Close(isLast: false);
            (ids, weights) = (movedIds, movedWeights);
        }

        void Close(bool isLast)
        {
            count += isLast ? ids.Count : TokenWindows.Inner;
            chunks.Add(PromptChunk.Filled(ids, weights));
            (ids, weights, lastComma) = ([], [], -1);
        }
    }
}
