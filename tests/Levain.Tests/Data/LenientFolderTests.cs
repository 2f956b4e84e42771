using Levain.Core;
using Levain.Data;
using NetVips;
using Xunit;

namespace Levain.Tests.Data;

/// <summary>Folders and masks that kohya takes or passes over where others would stop.</summary>
public sealed class LenientFolderTests : IDisposable
{
    private static readonly PixelSize Wide = new(160, 64), Square = new(64, 64);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private string Pictures(string name, params PixelSize[] sizes)
    {
        var path = Path.Combine(folder.Path, name);
        Directory.CreateDirectory(path);
        for (var i = 0; i < sizes.Length; i++)
        {
            using var black = Image.Black(sizes[i].Width, sizes[i].Height, bands: 3);
            black.Pngsave(Path.Combine(path, $"{i}.png"));
        }
        return path;
    }

    private static DatasetOptions Of(params SubsetOptions[] subsets) => new() { Resolution = Square, Subsets = subsets };

    [Fact]
    public void A_folder_that_is_not_there_is_passed_over_with_the_switch_alone()
    {
        var options = Of(new() { ImageDir = Pictures("a", Square) }, new() { ImageDir = Path.Combine(folder.Path, "none") });
        var dataset = Dataset.Build([options], Compat.Kohya, new(1));
        Assert.Single(dataset.Parts[0].Images);
        Assert.Equal("it is no folder", Assert.Single(dataset.Report.Ignored).Reason);
        Assert.Contains("none", Assert.Throws<DatasetException>(() => Dataset.Build([options], Compat.Sound, new(1))).Message);
        Assert.Throws<DatasetException>(() => Dataset.Build([Of(options.Subsets[1])], Compat.Kohya, new(1)));
    }

    [Fact]
    public void A_folder_without_repeats_is_judged_by_with_the_switch_alone()
    {
        var options = Of(new() { ImageDir = Pictures("a", Square, Square) }, new() { ImageDir = Pictures("b", Square, Square), NumRepeats = 0 }) with { ValidationSplit = 0.5, ValidationSeed = 1 };
        foreach (var (compat, judged) in new[] { (Compat.Kohya, new[] { "a", "b" }), (Compat.Sound, ["a"]) })
        {
            var dataset = Dataset.Build([options], compat, new(1));
            Assert.Equal(["a"], Folders(dataset.Parts));
            Assert.Equal(judged, Folders(dataset.Validation));
        }
        Assert.Equal(["a"], Folders(Dataset.Build([options with { ValidationSplit = 0 }], Compat.Kohya, new(1)).Parts));

        static IEnumerable<string> Folders(IReadOnlyList<DatasetPart> parts) => parts.SelectMany(part => part.Images).Select(image => Path.GetFileName(Path.GetDirectoryName(image.Path))!).Distinct().Order();
    }

    [Fact]
    public void A_slash_at_the_end_hides_a_folders_name_with_the_switch_alone()
    {
        var options = Of(new() { ImageDir = Pictures("a", Square) + Path.DirectorySeparatorChar }, new() { ImageDir = Pictures("b", Square) });
        Assert.Equal(["", "b"], Dataset.Build([options], Compat.Kohya, new(1)).Parts[0].Subsets.Select(subset => subset.Name));
        Assert.Equal(["a", "b"], Dataset.Build([options], Compat.Sound, new(1)).Parts[0].Subsets.Select(subset => subset.Name));
    }

    [Fact]
    public void A_mask_may_have_another_size_without_buckets_with_the_switch_alone()
    {
        var subset = new SubsetOptions { ImageDir = Pictures("a", Square), ConditioningDataDir = Pictures("k", Wide) };
        var dataset = Dataset.Build([Of(subset)], Compat.Kohya, new(1));
        using var loader = new BatchLoader(dataset, new(3), count => [.. Enumerable.Range(0, count).Select(i => (long)i)], 100);
        using (var batch = loader.Epoch(1).Single()) Assert.Equal([1, 64, 64], batch.Masks!.shape);
        Assert.Throws<DatasetException>(() => Dataset.Build([Of(subset)], Compat.Sound, new(1)));
        Assert.Throws<DatasetException>(() => Dataset.Build([Of(subset) with { EnableBucket = true, MinBucketReso = 64 }], Compat.Kohya, new(1)));
    }
}
