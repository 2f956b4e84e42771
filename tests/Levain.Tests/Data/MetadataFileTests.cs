using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

/// <summary>Datasets of metadata files: order, sizes and names of their pictures.</summary>
public sealed class MetadataFileTests
{
    private static readonly string Picture = Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png");

    private static DatasetPart Build(Compat compat, params (string Name, string Text)[] files)
    {
        using var folder = new TemporaryFolder();
        foreach (var (name, text) in files)
        {
            var pictures = Directory.CreateDirectory(Path.Combine(folder.Path, Path.GetFileNameWithoutExtension(name))).FullName;
            foreach (var picture in new[] { "a.png", "bb.png", "cc.png", "𝒳.png" }) File.Copy(Picture, Path.Combine(pictures, picture));
            File.WriteAllText(Path.Combine(folder.Path, name), text);
        }
        var subsets = files.Select(file => new SubsetOptions { MetadataFile = Path.Combine(folder.Path, file.Name), ImageDir = Path.Combine(folder.Path, Path.GetFileNameWithoutExtension(file.Name)), NumRepeats = 3 });
        return Dataset.Build([new() { Resolution = new(256, 256), EnableBucket = true, MinBucketReso = 64, MaxBucketReso = 512, Subsets = [.. subsets] }], compat, new(1)).Parts.Single();
    }

    [Theory]
    [InlineData("m.json", """{"𝒳.png": {"tags": "x"}, "cc": {"tags": "old"}, "a.png": {"tags": "a"}, "bb.png": {"tags": "b"}, "cc": {"tags": "c"}}""")]
    [InlineData("m.jsonl", """
        {"image_path": "𝒳.png", "tags": "x"}
        {"image_path": "cc", "tags": "old"}
        {"image_path": "a.png", "tags": "a"}
        {"image_path": "bb.png", "tags": "b"}
        {"image_path": "cc", "tags": "c"}
        """)]
    public void Longer_keys_come_first_counted_as_python_counts(string name, string text)
    {
        var part = Build(Compat.Sound, (name, text));
        Assert.Equal(["b", "x", "a", "c"], part.Images.Select(image => image.Caption));
        Assert.Equal(["b", "x", "a", "c"], part.Subsets.Single().TagFrequency.Select(tag => tag.Key));
    }

    [Fact]
    public void A_size_in_the_file_decides_as_in_kohya_only()
    {
        const string text = """{"a.png": {"caption": "a", "image_size": [200, 100]}, "bb.png": {"caption": "b", "image_size": null}}""";
        var size = Build(Compat.Sound, ("m.json", text)).Images.Select(image => image.Size).Distinct().Single();
        var kohya = Build(Compat.Kohya, ("m.json", text)).Images;
        Assert.Equal([size, new(200, 100)], kohya.Select(image => image.Size));
        Assert.Equal(new(320, 192), kohya[1].Choice.Bucket);
        Assert.Contains("image_size [1]", Assert.Throws<DatasetException>(() => Build(Compat.Sound, ("m.json", """{"a.png": {"image_size": [1]}}"""))).Message);
    }

    [Fact]
    public void Of_pictures_with_one_name_kohya_uses_the_last_in_the_place_of_the_first()
    {
        (string, string)[] files = [("one.json", """{"a.png": {"caption": "1a"}, "bb.png": {"caption": "1b"}}"""), ("two.json", """{"cc.png": {"caption": "2c"}, "bb.png": {"caption": "2b"}}""")];
        Assert.Equal(["1b", "1a", "2c", "2b"], Build(Compat.Sound, files).Images.Select(image => image.Caption));
        var part = Build(Compat.Kohya, files);
        Assert.Equal([("2b", 1), ("1a", 0), ("2c", 1)], part.Images.Select(image => (image.Caption, image.Subset)));
        Assert.Equal((12, 9), (part.TrainUses, part.Buckets.Sum(bucket => bucket.Images.Count)));
    }
}
