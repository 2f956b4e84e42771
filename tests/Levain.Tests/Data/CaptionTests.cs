using System.Text.Json;
using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class CaptionTests
{
    [Fact]
    public void Captions_come_out_as_recorded_and_draw_as_many_numbers()
    {
        foreach (var row in Golden.Json("dataset", "captions.json").GetProperty("cases").EnumerateArray())
        {
            var random = new PythonRandom(row.GetProperty("seed").GetInt64());
            var processor = new CaptionProcessor(OptionsOf(row.GetProperty("options")), row.GetProperty("max_train_steps").GetInt32()) { Replacements = ReplacementsOf(row.GetProperty("replacements")) };
            var results = row.GetProperty("results").EnumerateArray().Select(result => result.GetString()!).ToList();
            Assert.Equal(results, results.Select(_ => processor.Process(row.GetProperty("caption").GetString()!, row.GetProperty("epoch").GetInt32(), row.GetProperty("step").GetInt32(), random)));
            Assert.Equal(row.GetProperty("next_random").GetDouble(), random.Random());
        }
    }

    [Fact]
    public void Caption_files_are_read_as_Python_reads_them()
    {
        using var folder = new TemporaryFolder();
        foreach (var row in Golden.Json("dataset", "caption_files.json").GetProperty("contents").EnumerateArray())
        {
            var path = folder.Write("a.txt", Convert.FromHexString(row.GetProperty("bytes_hex").GetString()!));
            var wildcards = row.GetProperty("enable_wildcard").GetBoolean();
            if (row.TryGetProperty("caption", out var caption)) Assert.Equal(caption.GetString(), CaptionFile.Read(path, wildcards));
            else Assert.Contains(row.GetProperty("error").GetString() == "AssertionError" ? "is empty" : "UTF-8", Assert.Throws<DatasetException>(() => CaptionFile.Read(path, wildcards)).Message);
        }
    }

    [Fact]
    public void The_caption_file_of_a_picture_is_found()
    {
        foreach (var row in Golden.Json("dataset", "caption_files.json").GetProperty("names").EnumerateArray())
        {
            using var folder = new TemporaryFolder();
            foreach (var file in row.GetProperty("files").EnumerateObject()) folder.Write(file.Name, file.Value.GetString()!);
            var found = CaptionFile.Find(Path.Combine(folder.Path, row.GetProperty("image").GetString()!), row.GetProperty("caption_extension").GetString()!);
            Assert.Equal(row.GetProperty("caption").GetString(), found is null ? row.GetProperty("class_tokens").GetString() : CaptionFile.Read(found, everyLine: false));
        }
    }

    [Fact]
    public void Metadata_entries_are_joined_and_their_tags_counted()
    {
        foreach (var row in Golden.Json("dataset", "metadata_captions.json").EnumerateArray())
        {
            var entry = row.GetProperty("entry");
            var (caption, tags) = (Text(entry, "caption"), Text(entry, "tags"));
            var (separator, wildcards) = (row.GetProperty("caption_separator").GetString()!, row.GetProperty("enable_wildcard").GetBoolean());
            Assert.Equal(row.GetProperty("caption").GetString(), MetadataCaption.Join(caption, tags, separator, wildcards, Compat.Kohya));
            var counted = DatasetSubset.CountTags([wildcards ? tags?.Replace("\n", separator) ?? "" : tags ?? ""]);
            Assert.Equal(row.GetProperty("tag_frequency").EnumerateObject().Single().Value.EnumerateObject().Select(tag => new KeyValuePair<string, int>(tag.Name, tag.Value.GetInt32())), counted);
        }
    }

    [Fact]
    public void Tags_without_a_caption_are_the_caption()
    {
        Assert.Equal("a, b", MetadataCaption.Join(null, "a, b", ", ", everyLine: true, Compat.Sound));
        Assert.Equal("a cat", MetadataCaption.Join("a cat", "", ", ", everyLine: true, Compat.Sound));
    }

    private static string? Text(JsonElement entry, string name) => entry.TryGetProperty(name, out var value) ? value.GetString() : null;

    private static IReadOnlyList<CaptionReplacement> ReplacementsOf(JsonElement table) =>
        [.. table.EnumerateObject().Select(pair => pair.Value.ValueKind == JsonValueKind.Array
            ? new CaptionReplacement(pair.Name, "", [.. pair.Value.EnumerateArray().Select(text => text.GetString()!)])
            : new CaptionReplacement(pair.Name, pair.Value.GetString()!))];

    private static SubsetOptions OptionsOf(JsonElement table)
    {
        var options = new SubsetOptions();
        foreach (var (name, value) in table.EnumerateObject().Select(pair => (pair.Name, pair.Value)))
            options = name switch
            {
                "shuffle_caption" => options with { ShuffleCaption = value.GetBoolean() },
                "caption_separator" => options with { CaptionSeparator = value.GetString()! },
                "keep_tokens" => options with { KeepTokens = value.GetInt32() },
                "keep_tokens_separator" => options with { KeepTokensSeparator = value.GetString() },
                "secondary_separator" => options with { SecondarySeparator = value.GetString() },
                "enable_wildcard" => options with { EnableWildcard = value.GetBoolean() },
                "caption_dropout_rate" => options with { CaptionDropoutRate = value.GetDouble() },
                "caption_dropout_every_n_epochs" => options with { CaptionDropoutEveryNEpochs = value.GetInt32() },
                "caption_tag_dropout_rate" => options with { CaptionTagDropoutRate = value.GetDouble() },
                "caption_prefix" => options with { CaptionPrefix = value.GetString() },
                "caption_suffix" => options with { CaptionSuffix = value.GetString() },
                "token_warmup_min" => options with { TokenWarmupMin = value.GetInt32() },
                "token_warmup_step" => options with { TokenWarmupStep = value.GetDouble() },
                _ => throw new NotSupportedException(name),
            };
        return options;
    }
}
