using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

/// <summary>Which pictures are set aside for validation, by kind of dataset.</summary>
public sealed class SetAsideTests
{
    private const double Few = 0.1;
    private static readonly string Train = Golden.Path("training", "dataset", "square", "1_sks cat");

    private static Dataset Build(Compat compat, params DatasetOptions[] options) => Dataset.Build([.. options.Select(table => table with { Resolution = new(64, 64), EnableBucket = true, MinBucketReso = 64 })], compat, new(1));

    private static DatasetOptions Folder(double split) => new() { ValidationSplit = split, Subsets = [new() { ImageDir = Train, NumRepeats = 3 }] };

    [Theory, InlineData(true), InlineData(false)]
    public void A_whole_dataset_can_be_there_to_judge_by(bool kohya)
    {
        var compat = kohya ? Compat.Kohya : Compat.Sound;
        var dataset = Build(compat, Folder(0), Folder(1));
        var count = Directory.GetFiles(Train, "*.png").Length;
        Assert.Equal([count, 0], dataset.Parts.Select(part => part.Images.Count));
        Assert.Equal(count, Assert.Single(dataset.Validation).TrainUses);
        Assert.Contains("sets all its pictures aside", Assert.Throws<DatasetException>(() => Build(compat, Folder(1))).Message);
    }

    [Fact]
    public void Datasets_that_are_not_split_keep_their_repeats_as_in_kohya()
    {
        using var folder = new TemporaryFolder();
        var file = Path.Combine(folder.Path, "m.json");
        File.WriteAllText(file, $$$"""{"{{{Path.Combine(Train, "s1.png")}}}": {"caption": "a"}}""");
        var dataset = Build(Compat.Kohya, Folder(0.5), new() { ValidationSplit = 0.5, Subsets = [new() { MetadataFile = file, NumRepeats = 3 }] });
        Assert.Equal([1, 3], dataset.Validation.Select(part => part.Images.Select(image => image.Repeats).Distinct().Single()));
        Assert.Equal(3, dataset.Validation[1].TrainUses);
    }

    [Fact]
    public void Pictures_with_masks_are_shuffled_and_none_may_be_left_out_as_in_kohya()
    {
        using var masks = new TemporaryFolder();
        foreach (var picture in Directory.GetFiles(Train, "*.png")) File.Copy(picture, Path.Combine(masks.Path, Path.GetFileName(picture)));
        DatasetOptions Masked(double split) => new() { ValidationSplit = split, ValidationSeed = 5, Subsets = [new() { ImageDir = Train, ConditioningDataDir = masks.Path, NumRepeats = 2 }] };
        var dataset = Build(Compat.Kohya, Masked(Few));
        var expected = Directory.GetFiles(Train, "*.png").Order(StringComparer.Ordinal).ToList();
        new PythonRandom(5).Shuffle(expected);
        Assert.Equal(expected, dataset.Parts[0].Images.Select(image => image.Path));
        Assert.Equal(expected, dataset.Validation[0].Images.Select(image => image.Path));
        Assert.All(dataset.Validation[0].Images, image => Assert.Equal(2, image.Repeats));
        Assert.Contains("leaves out pictures of it", Assert.Throws<DatasetException>(() => Build(Compat.Kohya, Masked(0.5))).Message);
    }

    [Fact]
    public void Loose_or_missing_regularization_pictures_are_passed_over_as_in_kohya()
    {
        using var loose = new TemporaryFolder();
        File.Copy(Path.Combine(Train, "s1.png"), Path.Combine(loose.Path, "s1.png"));
        var options = Folder(0);
        Assert.Equal(1, Build(Compat.Sound, options with { RegDataDir = loose.Path }).Parts[0].RegUses);
        Assert.Equal(0, Build(Compat.Kohya, options with { RegDataDir = loose.Path }).Parts[0].RegUses);
        Assert.Equal(0, Build(Compat.Kohya, options with { RegDataDir = Train + "x" }).Parts[0].RegUses);
        Assert.Contains("does not exist", Assert.Throws<DatasetException>(() => Build(Compat.Sound, options with { RegDataDir = Train + "x" })).Message);
    }
}
