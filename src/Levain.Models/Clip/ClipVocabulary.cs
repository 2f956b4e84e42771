using System.IO.Compression;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Levain.Models.Clip;

/// <summary>The tokenizer's vocabulary as transformers keeps it: <c>vocab.json</c> and <c>merges.txt</c>.</summary>
public static class ClipVocabulary
{
    private const string Heading = "#version: 0.2\n", WordEnd = "</w>";
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Every token and its id, as JSON.</summary>
    public static string Json()
    {
        var ids = new Dictionary<string, int>();
        foreach (var token in Letters().Concat(Letters().Select(letter => letter + WordEnd)).Concat(Pairs().Select(pair => pair.Replace(" ", ""))).Concat(["<|startoftext|>", "<|endoftext|>"])) ids.TryAdd(token, ids.Count);
        return JsonSerializer.Serialize(ids, Plain);
    }

    /// <summary>Every merge in order of rank, one a line.</summary>
    public static string Merges() => Heading + string.Concat(Pairs().Select(pair => pair + "\n"));

    private static IEnumerable<string> Letters()
    {
        var letters = ClipTokenizer.LettersOfBytes();
        return Enumerable.Range(0, letters.Length).OrderBy(value => letters[value] >= letters.Length).ThenBy(value => value).Select(value => letters[value].ToString());
    }

    private static IEnumerable<string> Pairs()
    {
        using var packed = typeof(ClipVocabulary).Assembly.GetManifestResourceStream(ClipTokenizer.MergesResource)!;
        using var reader = new StreamReader(new GZipStream(packed, CompressionMode.Decompress), Encoding.UTF8);
        reader.ReadLine();                                   // the first line holds a version
        for (var i = 0; i < ClipTokenizer.Merges; i++) yield return reader.ReadLine() ?? throw new InvalidDataException("the embedded vocabulary ends early");
    }
}
