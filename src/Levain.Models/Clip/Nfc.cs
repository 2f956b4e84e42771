using System.Globalization;
using System.IO.Compression;
using System.Text;

namespace Levain.Models.Clip;

/// <summary>
/// Unicode's canonical composition (NFC): <c>e</c> + U+0301 becomes <c>é</c>. The runtime has it only with ICU installed, and token
/// ids must not depend on that, so the tables travel with the program (12 kB; read when the first text needs them).
/// </summary>
/// <remarks>Unicode Standard Annex #15, https://www.unicode.org/reports/tr15/.</remarks>
internal static class Nfc
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28;

    // Everything below U+0300 is composed already.
    private const char FirstOfInterest = '\u0300';

    private static readonly Lazy<Tables> Data = new(Tables.Read);

    public static string Compose(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange(FirstOfInterest, char.MaxValue)) return text;
        var runes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes()) Decompose(rune.Value, runes);
        Order(runes);
        Compose(runes);
        var result = new StringBuilder(runes.Count);
        foreach (var rune in runes) result.Append(char.ConvertFromUtf32(rune));
        return result.ToString();
    }

    private static void Decompose(int rune, List<int> to)
    {
        var hangul = rune - HangulBase;
        if (hangul is >= 0 and < Leads * Vowels * Trails)
        {
            to.Add(LeadBase + hangul / (Vowels * Trails));
            to.Add(VowelBase + hangul % (Vowels * Trails) / Trails);
            if (hangul % Trails > 0) to.Add(TrailBase + hangul % Trails);
        }
        else if (Data.Value.Parts.TryGetValue(rune, out var parts))
        {
            foreach (var part in parts) Decompose(part, to);
        }
        else to.Add(rune);
    }

    /// <summary>Runs of combining marks are put in order of their class, equal classes as they came.</summary>
    private static void Order(List<int> runes)
    {
        for (var i = 1; i < runes.Count; i++)
        {
            var mark = Class(runes[i]);
            if (mark == 0) continue;
            for (var j = i; j > 0 && Class(runes[j - 1]) > mark; j--) (runes[j - 1], runes[j]) = (runes[j], runes[j - 1]);
        }
    }

    private static void Compose(List<int> runes)
    {
        int starter = -1, previousClass = 0, kept = 0;
        for (var i = 0; i < runes.Count; i++)
        {
            var rune = runes[i];
            var mark = Class(rune);
            var adjacent = starter == kept - 1;
            if (starter >= 0 && (adjacent || previousClass < mark) && Join(runes[starter], rune) is { } joined)
            {
                runes[starter] = joined;
                continue;
            }
            if (mark == 0) starter = kept;
            previousClass = mark;
            runes[kept++] = rune;
        }
        runes.RemoveRange(kept, runes.Count - kept);
    }

    private static int? Join(int first, int second)
    {
        int lead = first - LeadBase, vowel = second - VowelBase, syllable = first - HangulBase, trail = second - TrailBase;
        if (lead is >= 0 and < Leads && vowel is >= 0 and < Vowels) return HangulBase + (lead * Vowels + vowel) * Trails;
        if (syllable is >= 0 and < Leads * Vowels * Trails && syllable % Trails == 0 && trail is > 0 and < Trails) return first + trail;
        return Data.Value.Joined.TryGetValue((first, second), out var joined) ? joined : null;
    }

    private static int Class(int rune) => rune < FirstOfInterest ? 0 : Data.Value.Classes.GetValueOrDefault(rune);

    private sealed record Tables(Dictionary<int, int[]> Parts, Dictionary<(int, int), int> Joined, Dictionary<int, byte> Classes)
    {
        public static Tables Read()
        {
            var tables = new Tables([], [], []);
            using var packed = typeof(Nfc).Assembly.GetManifestResourceStream("Clip.unicode-nfc.txt.gz")!;
            using var lines = new StreamReader(new GZipStream(packed, CompressionMode.Decompress));
            while (lines.ReadLine() is { } line)
            {
                if (line.StartsWith('#')) continue;
                if (line.Split('-', ':') is [var from, var to, var mark])
                    for (var rune = Hex(from); rune <= Hex(to); rune++) tables.Classes[rune] = byte.Parse(mark, CultureInfo.InvariantCulture);
                else
                    tables.AddParts(line);
            }
            return tables;
        }

        /// <summary>Reads <c>A=B C</c> (composes) or <c>A&gt;B C</c> (only decomposes).</summary>
        private void AddParts(string line)
        {
            var sign = line.AsSpan().IndexOfAny('=', '>');
            var parts = line[(sign + 1)..].Split(' ').Select(Hex).ToArray();
            Parts[Hex(line[..sign])] = parts;
            if (line[sign] == '=') Joined[(parts[0], parts[1])] = Hex(line[..sign]);
        }

        private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
