using System.Globalization;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Levain.Models.Clip;

/// <summary>Text to the 49,408 token ids of CLIP ViT-L: byte-pair encoding of lower-cased, repaired text. One vocabulary, embedded.</summary>
/// <remarks>Radford et al. 2021, https://arxiv.org/abs/2103.00020; the vocabulary is https://github.com/openai/CLIP's.</remarks>
public sealed partial class ClipTokenizer
{
    /// <summary>The id that begins every window (BOS).</summary>
    public const int Start = 49406;

    /// <summary>The id that ends a text and fills the rest of its window (EOS, padding).</summary>
    public const int End = 49407;

    private const int Bytes = 256;
    internal const int Merges = 48894;
    internal const string MergesResource = "Clip.bpe_simple_vocab_16e6.txt.gz";
    private const string StartText = "<|startoftext|>", EndText = "<|endoftext|>";

    private static readonly Lazy<ClipTokenizer> Shared = new(() => new());

    private readonly int[] idOfByte = new int[Bytes];
    private readonly Dictionary<long, int> merged = new(Merges);

    private ClipTokenizer()
    {
        // Ids: 256 bytes, the same at a word's end, then one for each merge in order of rank.
        var letters = LettersOfBytes();
        var order = Enumerable.Range(0, Bytes).OrderBy(value => letters[value] >= Bytes).ThenBy(value => value).ToArray();
        var ids = new Dictionary<long, int>(2 * Bytes + Merges);
        for (var i = 0; i < Bytes; i++)
        {
            idOfByte[order[i]] = i;
            var letter = Encoding.UTF8.GetBytes(letters[order[i]].ToString());
            ids[Hash(letter)] = i;
            ids[Hash([.. letter, .. "</w>"u8])] = Bytes + i;
        }
        ReadMerges(ids);
    }

    /// <summary>Reads "left right" lines as bytes: tokens are known by a 64-bit hash of their spelling, so nothing is made a string.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]    // runs once, over 700 kB: worth compiling well
    private void ReadMerges(Dictionary<long, int> ids)
    {
        using var packed = typeof(ClipTokenizer).Assembly.GetManifestResourceStream(MergesResource)!;
        using var unpacked = new GZipStream(packed, CompressionMode.Decompress);
        var buffer = new byte[1 << 16];
        var rank = -1;                                       // the first line holds a version
        long both = HashStart, part = HashStart, left = 0;
        while (rank < Merges)
        {
            var count = unpacked.Read(buffer);
            if (count == 0) throw new InvalidDataException("the embedded vocabulary ends early");
            for (var i = 0; i < count && rank < Merges; i++)
            {
                var value = buffer[i];
                if (value == ' ') (left, part) = (part, HashStart);
                else if (value != '\n') (both, part) = (Hash(both, value), Hash(part, value));
                else
                {
                    if (rank >= 0)
                    {
                        merged[Pair(ids[left], ids[part])] = 2 * Bytes + rank;
                        ids[both] = 2 * Bytes + rank;
                    }
                    (both, part, rank) = (HashStart, HashStart, rank + 1);
                }
            }
        }
    }

    private const long HashStart = unchecked((long)0xCBF29CE484222325), HashPrime = 0x100000001B3;

    private static long Hash(long hash, byte value) => (hash ^ value) * HashPrime;       // FNV-1a

    private static long Hash(ReadOnlySpan<byte> spelling)
    {
        var hash = HashStart;
        foreach (var value in spelling) hash = Hash(hash, value);
        return hash;
    }

    private static long Pair(int left, int right) => (long)left << 32 | (uint)right;

    /// <summary>The tokenizer; its vocabulary is read at first use.</summary>
    public static ClipTokenizer Instance => Shared.Value;

    /// <summary>Ids of <paramref name="text"/> without BOS, EOS or padding, of any length.</summary>
    public int[] Encode(string text)
    {
        var ids = new List<int>(text.Length / 3 + 1);
        foreach (var piece in SpecialTokens().Split(text))
        {
            if (Special(piece) is { } special) ids.Add(special);
            else EncodePiece(Clean(piece), ids);
        }
        return [.. ids];
    }

    /// <summary>Ids of <paramref name="text"/> in which <paramref name="words"/> have ids of their own, wherever they stand and written just so; the longest wins.</summary>
    /// <remarks>As transformers' tokenizers treat words that are added to them: the text between is tokenized piece by piece.</remarks>
    public int[] Encode(string text, IReadOnlyDictionary<string, int> words)
    {
        var (ids, from) = (new List<int>(), 0);
        for (var at = 0; at < text.Length;)
        {
            var word = words.Keys.Where(word => string.CompareOrdinal(text, at, word, 0, word.Length) == 0).MaxBy(word => word.Length);
            if (word is null)
            {
                at++;
                continue;
            }
            ids.AddRange(Encode(text[from..at]));
            ids.Add(words[word]);
            from = at += word.Length;
        }
        ids.AddRange(Encode(text[from..]));
        return [.. ids];
    }

    /// <summary>Whether the vocabulary has this very text as a token inside a word, so that no new word can be called so.</summary>
    public bool Has(string text)
    {
        var word = new List<int>();
        EncodeWord(text, word, [], endsWord: false);
        return word.Count == 1 || Special(text) is not null;
    }

    private static int? Special(string text) =>
        text.Equals(StartText, StringComparison.OrdinalIgnoreCase) ? Start
        : text.Equals(EndText, StringComparison.OrdinalIgnoreCase) ? End
        : null;

    private static string Clean(string text) => LowerCase.Of(WhiteSpace().Replace(TextRepair.Fix(text), " ").Trim());

    private void EncodePiece(string text, List<int> ids)
    {
        var word = new List<int>();
        for (var at = 0; at < text.Length;)
        {
            var length = WordLength(text.AsSpan(at));
            if (length > 0)
            {
                var letters = text.Substring(at, length);
                if (Special(letters) is { } special) ids.Add(special);      // appears when entities are undone: &lt;|endoftext|&gt;
                else EncodeWord(letters, word, ids);
            }
            at += Math.Max(length, 1);                                      // white space separates
        }
    }

    /// <summary>Length in UTF-16 units of the word that <paramref name="text"/> begins with; 0 at white space.</summary>
    private static int WordLength(ReadOnlySpan<char> text)
    {
        if (text.StartsWith(StartText)) return StartText.Length;
        if (text.StartsWith(EndText)) return EndText.Length;
        if (text[0] == '\'')
        {
            foreach (var suffix in (ReadOnlySpan<string>)["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"])
                if (text.StartsWith(suffix)) return suffix.Length;
        }
        // Runes, not UTF-16 units: a letter beyond U+FFFF is a letter.
        var length = 0;
        var kind = Kind.Space;
        foreach (var rune in text.EnumerateRunes())
        {
            var current = KindOf(rune);
            if (length == 0) kind = current;
            if (current != kind || kind == Kind.Space) break;
            length += rune.Utf16SequenceLength;
            if (kind == Kind.Digit) break;                                  // digits stand alone
        }
        return length;
    }

    private enum Kind { Space, Letter, Digit, Sign }

    private static Kind KindOf(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        <= UnicodeCategory.OtherLetter => Kind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Digit,
        _ => Rune.IsWhiteSpace(rune) ? Kind.Space : Kind.Sign,
    };

    private void EncodeWord(string letters, List<int> word, List<int> ids, bool endsWord = true)
    {
        word.Clear();
        foreach (var value in Encoding.UTF8.GetBytes(letters)) word.Add(idOfByte[value]);
        if (endsWord) word[^1] += Bytes;

        while (word.Count > 1)
        {
            var (best, pair) = (int.MaxValue, 0L);
            for (var i = 0; i + 1 < word.Count; i++)
                if (merged.TryGetValue(Pair(word[i], word[i + 1]), out var id) && id < best) (best, pair) = (id, Pair(word[i], word[i + 1]));
            if (best == int.MaxValue) break;

            var kept = 0;
            for (var i = 0; i < word.Count; i++)
            {
                var joins = i + 1 < word.Count && Pair(word[i], word[i + 1]) == pair;
                word[kept++] = joins ? best : word[i];
                if (joins) i++;
            }
            word.RemoveRange(kept, word.Count - kept);
        }
        ids.AddRange(word);
    }

    /// <summary>The vocabulary writes each byte as a printable letter: itself where it is one, else the next from U+0100 on.</summary>
    internal static char[] LettersOfBytes()
    {
        var letters = new char[Bytes];
        var next = (char)Bytes;
        for (var value = 0; value < Bytes; value++)
            letters[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : next++;
        return letters;
    }

    [GeneratedRegex(@"(<\|startoftext\|>|<\|endoftext\|>)", RegexOptions.IgnoreCase)]
    private static partial Regex SpecialTokens();

    [GeneratedRegex(@"\s+")]
    private static partial Regex WhiteSpace();
}
