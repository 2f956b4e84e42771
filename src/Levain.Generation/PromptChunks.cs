using Levain.Diffusion;
using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>A trained word in a chunk.</summary>
/// <param name="Offset">Its first place, counted from 0 behind the start token.</param>
/// <param name="Word">The word.</param>
public sealed record ChunkWord(int Offset, TextualInversion Word);

/// <summary>77 token ids and the weight of each; places of trained words hold 0.</summary>
public sealed record PromptChunk(int[] Ids, double[] Weights)
{
    /// <summary>A chunk without a word.</summary>
    public static PromptChunk Empty { get; } = Filled([], []);

    /// <summary>Trained words in it.</summary>
    public IReadOnlyList<ChunkWord> Words { get; init; } = [];

    /// <summary>Token vectors with trained words in their places.</summary>
    /// <param name="tokens">Token vectors of <see cref="Ids"/>, [N, C].</param>
    /// <returns>A new tensor of the same shape, or the same where there is no word; the caller's scope owns it.</returns>
    public Tensor Insert(Tensor tokens)
    {
        if (Words.Count == 0) return tokens;
        using var scope = NewDisposeScope();
        var filled = tokens.clone();
        foreach (var (offset, word) in Words)
        {
            var count = Math.Min(tokens.shape[0] - offset - 1, word.Count);
            filled.narrow(0, offset + 1, count).copy_(word.Vectors.narrow(0, 0, count));
        }
        return filled.MoveToOuterDisposeScope();
    }

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
/// <remarks>AUTOMATIC1111's webui, <c>sd_hijack_clip.tokenize_line</c>.</remarks>
public sealed record PromptChunks(IReadOnlyList<PromptChunk> Chunks, int TokenCount)
{
    /// <summary>How far back a comma is looked for, in tokens; the webui's default.</summary>
    public const int CommaBacktrack = 20;

    private const int Comma = 267;

    /// <summary>Cuts a prompt without schedules and network tags.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="emphasis">With <see cref="Emphasis.None"/> brackets are text.</param>
    /// <param name="commaBacktrack">How far back a comma is looked for; 0 cuts anywhere.</param>
    /// <param name="words">Trained words that names stand for; null for none. A word that does not fit into a chunk begins the next.</param>
    public static PromptChunks Of(string text, Emphasis emphasis = Emphasis.Original, int commaBacktrack = CommaBacktrack, EmbeddingShelf? words = null)
    {
        var chunks = new List<PromptChunk>();
        List<int> ids = [];
        List<double> weights = [];
        List<ChunkWord> trained = [];
        var (lastComma, count) = (-1, 0);
        foreach (var piece in emphasis == Emphasis.None ? [new(text, 1)] : PromptAttention.Parse(text))
        {
            if (piece.IsBreak)
            {
                Close(isLast: false);
                continue;
            }
            var tokens = ClipTokenizer.Instance.Encode(piece.Text);
            for (var at = 0; at < tokens.Length;)
            {
                var id = tokens[at];
                if (id == Comma) lastComma = ids.Count;
                else if (commaBacktrack > 0 && ids.Count == TokenWindows.Inner && lastComma >= 0 && ids.Count - lastComma <= commaBacktrack) MovePhrase(lastComma + 1);
                if (ids.Count == TokenWindows.Inner) Close(isLast: false);
                if (words?.At(tokens.AsSpan(at)) is not var (word, length))
                {
                    ids.Add(id);
                    weights.Add(piece.Weight);
                    at++;
                    continue;
                }
                if (ids.Count + word.Count > TokenWindows.Inner) Close(isLast: false);
                trained.Add(new(ids.Count, word));
                ids.AddRange(Enumerable.Repeat(0, word.Count));
                weights.AddRange(Enumerable.Repeat(piece.Weight, word.Count));
                at += length;
            }
        }
        if (ids.Count > 0 || chunks.Count == 0) Close(isLast: true);
        return new(chunks, count);

        // The webui moves ids and weights only: words recorded in this chunk stay in it.
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
            chunks.Add(PromptChunk.Filled(ids, weights) with { Words = trained });
            (ids, weights, trained, lastComma) = ([], [], [], -1);
        }
    }
}
