using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>A piece of a prompt and how much it counts; 1 is plain text.</summary>
public readonly record struct WeightedText(string Text, double Weight)
{
    /// <summary>The word that ends a chunk, where the webui's reading is asked for.</summary>
    public static WeightedText Break { get; } = new("BREAK", -1);

    /// <summary>Whether the piece is the <c>BREAK</c> marker. Inside weighted brackets the marker loses its meaning, as in the webui.</summary>
    public bool IsBreak => this == Break;
}

/// <summary>
/// Reads attention weights: <c>(x)</c> ×1.1, <c>[x]</c> ÷1.1, <c>(x:1.3)</c>, nested ones multiplied, <c>\(</c> a literal bracket, and
/// <c>BREAK</c>. Nothing is an error: a bracket that never closes weighs to the end, one that never opened is text.
/// </summary>
/// <remarks>AUTOMATIC1111's webui, <c>prompt_parser.parse_prompt_attention</c>; kohya's weighted captions are the same without BREAK, and
/// without blanks around a number: <c>(x: 1.3)</c> is the text <c>x: 1.3</c> in plain brackets.</remarks>
public static partial class PromptAttention
{
    private const double RoundFactor = 1.1, SquareFactor = 1 / 1.1;

    /// <summary>The pieces of <paramref name="text"/>, neighbours of equal weight joined; one empty piece for an empty text.</summary>
    /// <param name="text">A prompt or caption.</param>
    /// <param name="breaks">Whether the word BREAK is a marker, and a number may stand between blanks (webui); or neither (kohya's captions).</param>
    public static IReadOnlyList<WeightedText> Parse(string text, bool breaks = true)
    {
        var pieces = new List<WeightedText>();
        var (round, square) = (new Stack<int>(), new Stack<int>());
        foreach (Match token in (breaks ? Tokens() : CaptionTokens()).Matches(text))
        {
            var word = token.Value;
            if (word[0] == '\\') pieces.Add(new(word[1..], 1));
            else if (word == "(") round.Push(pieces.Count);
            else if (word == "[") square.Push(pieces.Count);
            else if (token.Groups["weight"] is { Success: true, Value: var number } && round.Count > 0)
            {
                if (Number(number) is { } weight) Multiply(pieces, round.Pop(), weight);
                else
                {
                    AddText(pieces, word[..^1], breaks);              // "(x:.)" holds no number: text in plain brackets
                    Multiply(pieces, round.Pop(), RoundFactor);
                }
            }
            else if (word == ")" && round.Count > 0) Multiply(pieces, round.Pop(), RoundFactor);
            else if (word == "]" && square.Count > 0) Multiply(pieces, square.Pop(), SquareFactor);
            else AddText(pieces, word, breaks);
        }
        foreach (var open in round) Multiply(pieces, open, RoundFactor);
        foreach (var open in square) Multiply(pieces, open, SquareFactor);
        return Join(pieces);
    }

    private static void AddText(List<WeightedText> pieces, string text, bool breaks)
    {
        var parts = breaks ? Breaks().Split(text) : [text];
        for (var i = 0; i < parts.Length; i++)
        {
            if (i > 0) pieces.Add(WeightedText.Break);
            pieces.Add(new(parts[i], 1));
        }
    }

    private static void Multiply(List<WeightedText> pieces, int from, double factor)
    {
        for (var i = from; i < pieces.Count; i++) pieces[i] = pieces[i] with { Weight = pieces[i].Weight * factor };
    }

    private static List<WeightedText> Join(List<WeightedText> pieces)
    {
        var joined = new List<WeightedText>(pieces.Count);
        foreach (var piece in pieces)
        {
            if (joined.Count > 0 && joined[^1].Weight == piece.Weight) joined[^1] = piece with { Text = joined[^1].Text + piece.Text };
            else joined.Add(piece);
        }
        return joined.Count > 0 ? joined : [new("", 1)];
    }

    /// <summary>A number in any script's digits, as Python reads it; null for "." or "1.2.3".</summary>
    private static double? Number(string text)
    {
        var digits = string.Concat(text.Select(c => char.IsDigit(c) ? (char)('0' + CharUnicodeInfo.GetDecimalDigitValue(c)) : c));
        return double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    [GeneratedRegex(@"\\[()\[\]\\]?|\(|\[|:\s*(?<weight>[+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:")]
    private static partial Regex Tokens();

    [GeneratedRegex(@"\\[()\[\]\\]?|\(|\[|:(?<weight>[+-]?[.\d]+)\)|\)|\]|[^\\()\[\]:]+|:")]
    private static partial Regex CaptionTokens();

    [GeneratedRegex(@"\s*\bBREAK\b\s*")]
    private static partial Regex Breaks();
}
