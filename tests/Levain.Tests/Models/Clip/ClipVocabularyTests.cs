using System.Text.Json;
using Levain.Models.Clip;
using Xunit;

namespace Levain.Tests.Models.Clip;

public sealed class ClipVocabularyTests
{
    [Fact]
    public void The_written_vocabulary_has_the_tokenizers_ids()
    {
        var ids = JsonSerializer.Deserialize<Dictionary<string, int>>(ClipVocabulary.Json())!;
        Assert.Equal(49408, ids.Count);
        Assert.Equal(Enumerable.Range(0, 49408), ids.Values.Order());
        foreach (var word in new[] { "cat", "painting", "the", "!", "a" }) Assert.Equal([ids[word + "</w>"]], ClipTokenizer.Instance.Encode(word));
        Assert.Equal((ClipTokenizer.Start, ClipTokenizer.End), (ids["<|startoftext|>"], ids["<|endoftext|>"]));
        Assert.Equal("i n", ClipVocabulary.Merges().Split('\n')[1]);
    }

    [Fact]
    public void Added_words_have_ids_of_their_own_wherever_they_stand()
    {
        var words = new Dictionary<string, int> { ["zzcat"] = 49408, ["zzcat1"] = 49409 };
        var cat = ClipTokenizer.Instance.Encode("cat");
        Assert.Equal([.. cat, 49408, 49409, .. cat, 49408, .. ClipTokenizer.Instance.Encode("s")], ClipTokenizer.Instance.Encode("cat zzcat zzcat1 cat,zzcats".Replace(",", ""), words));
        Assert.True(ClipTokenizer.Instance.Has("cat"));
        Assert.False(ClipTokenizer.Instance.Has("zzcat"));
    }
}
