using Levain.Core;
using Levain.Models.Clip;

namespace Levain.Training.Settings;

/// <summary>Captions that a trained word is put into, in place of those of the pictures.</summary>
public enum WordTemplate
{
    /// <summary>The pictures' own captions; they should name the word.</summary>
    None,

    /// <summary>"a photo of a …" and its like, one drawn for each picture: for things.</summary>
    Object,

    /// <summary>"a painting in the style of …" and its like: for styles.</summary>
    Style,
}

/// <summary>The <c>[embedding]</c> table: the word that is trained, where <c>trains = "embedding"</c>.</summary>
public sealed record EmbeddingSettings
{
    private const int Most = 75;

    /// <summary>The word, as captions name it; no word of the tokenizer's own. Required.</summary>
    public string? Token { get; init; }

    /// <summary>Vectors that stand in its place; 1 to 75. Default 1.</summary>
    public int Vectors { get; init; } = 1;

    /// <summary>Words whose vectors it begins with, in turn; null: near the mean of all words.</summary>
    public string? InitWords { get; init; }

    /// <summary>A trained word to begin with, with as many vectors; null: none.</summary>
    public string? Weights { get; init; }

    /// <summary>Captions to put it into: <c>none</c>, <c>object</c>, <c>style</c>. Default none: the pictures' own.</summary>
    public WordTemplate Template { get; init; } = WordTemplate.None;

    /// <summary>What captions say in its place: one name for each vector, the word itself and the word with 1, 2, … behind it.</summary>
    public IReadOnlyList<string> Names => [.. Enumerable.Range(0, Vectors).Select(i => i == 0 ? Token! : $"{Token}{i}")];

    /// <summary>The table's keys.</summary>
    public static EmbeddingSettings Map(EmbeddingSettings word, TomlMap map) => word with
    {
        Token = map.OptionalText("token", word.Token),
        Vectors = map.Whole("vectors", word.Vectors),
        InitWords = map.OptionalText("init_words", word.InitWords),
        Weights = map.OptionalPath("weights", word.Weights),
        Template = map.Choice("template", word.Template),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(!string.IsNullOrWhiteSpace(Token), "token", "is not given.", "Name the word that captions will call it by: token = \"mycat\".");
        problems.Require(Vectors is >= 1 and <= Most, "vectors", $"is {Vectors}.", $"Use 1 to {Most}; 2 to 8 suit most subjects.");
        problems.Require(Weights is null || File.Exists(Weights), "weights", $"names {Weights}, which is not there.", "Name the file of a trained word.");
        problems.Require(InitWords is null || ClipTokenizer.Instance.Encode(InitWords).Length > 0, "init_words", $"is \"{InitWords}\", which is no word.", "Use a word near what is trained: cat.");
        if (string.IsNullOrWhiteSpace(Token) || Vectors is < 1 or > Most) return;
        foreach (var name in Names.Where(ClipTokenizer.Instance.Has))
            problems.Add("token", $"is \"{Token}\", and \"{name}\" is a word of the tokenizer already.", "Choose another one, which nobody writes.");
    }
}
