using Levain.Generation;
using Levain.Tests.Data;
using Xunit;

namespace Levain.Tests.Generation;

public sealed class TrainedWordsTests
{
    [Fact]
    public void Files_of_a_run_are_found_in_the_order_of_training()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in new[] { "cat", "cat-000010", "cat-000002", "cat-step00000500", "cat2", "cat-blue", "cat.txt" })
            File.WriteAllText(Path.Combine(folder.Path, name.Contains('.') ? name : name + ".safetensors"), "");
        var found = NetworkEpochs.Beside(Path.Combine(folder.Path, "cat-000002.safetensors"));
        Assert.Equal(["step 500", "epoch 2", "epoch 10", "final"], found.Select(epoch => epoch.Label));
        Assert.Equal(["epoch 10", "final"], NetworkEpochs.Beside(found[0].Path, newest: 2).Select(epoch => epoch.Label));
    }

    [Theory]
    [InlineData("""{"10_mochi": {"mochi": 24, "1girl": 24, "solo": 24, "smile": 12}}""", null, "mochi", "1girl")]
    [InlineData("""{"10_a": {"sks": 5}, "5_b": {"sks": 5, "1boy": 9}}""", null, "sks", "1boy")]
    [InlineData("""{"10_mochi": {"mochi": 24}}""", "pancake", "pancake", null)]
    [InlineData("not json", null, null, null)]
    [InlineData(null, null, null, null)]
    public void Metadata_tells_what_a_network_is_called_by(string? frequency, string? phrase, string? trigger, string? subject)
    {
        var metadata = new Dictionary<string, string>();
        if (frequency is not null) metadata["ss_tag_frequency"] = frequency;
        if (phrase is not null) metadata["modelspec.trigger_phrase"] = phrase;
        Assert.Equal(new(trigger, subject), TrainedWords.Of(metadata));
    }

    [Fact]
    public void A_folder_names_the_subject_where_no_caption_does() =>
        Assert.Equal("sks cat", TrainedWords.Of(new Dictionary<string, string> { ["ss_dataset_dirs"] = """{"10_sks cat": {"n_repeats": 10, "img_count": 5}}""" }).Trigger);
}
