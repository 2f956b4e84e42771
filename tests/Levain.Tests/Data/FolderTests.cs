using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class FolderTests
{
    [Fact]
    public void Folder_names_give_repeats_and_class_tokens()
    {
        foreach (var row in Golden.Json("dataset", "folder_names.json").EnumerateArray())
        {
            var parsed = KohyaFolders.Parse(row.GetProperty("folder").GetString()!);
            var used = parsed is { Repeats: var repeats } && repeats >= 1;
            Assert.Equal(row.GetProperty("used").GetBoolean(), used);
            if (!used) continue;
            Assert.Equal(row.GetProperty("repeats").GetInt64(), (long)parsed!.Value.Repeats);
            Assert.Equal(row.GetProperty("class_tokens").GetString(), parsed.Value.ClassTokens);
        }
    }

    [Fact]
    public void Pictures_are_found_in_order()
    {
        var row = Golden.Json("dataset", "image_names.json");
        using var folder = new TemporaryFolder();
        foreach (var file in row.GetProperty("files").EnumerateArray()) folder.Write(file.GetString()!, "");
        Assert.Equal(row.GetProperty("found_in_order").EnumerateArray().Select(name => name.GetString()), ImageNames.In(folder.Path, Compat.Kohya).Select(path => Path.GetFileName(path)));
        Assert.Contains("c.Png", ImageNames.In(folder.Path, Compat.Sound).Select(path => Path.GetFileName(path)));
    }

    [Fact]
    public void Regularization_pictures_are_balanced()
    {
        foreach (var row in Golden.Json("dataset", "reg_balance.json").EnumerateArray())
        {
            var reg = row.GetProperty("reg").EnumerateArray().SelectMany(folder => Enumerable.Repeat(folder[1].GetInt64(), folder[0].GetInt32())).ToList();
            var used = RegBalance.Repeats(reg, row.GetProperty("num_train_images").GetInt64());
            Assert.Equal(row.GetProperty("reg_used").EnumerateArray().Select(pair => pair[1].GetInt64()), used.Where(count => count > 0));
            Assert.Equal(row.GetProperty("reg_total").GetInt64(), used.Sum());
        }
    }

    [Fact]
    public void The_validation_split_is_kohyas_or_has_no_overlap()
    {
        foreach (var row in Golden.Json("dataset", "validation_split.json").EnumerateArray())
        {
            var items = Enumerable.Range(0, row.GetProperty("n").GetInt32()).ToList();
            var (share, seed) = (row.GetProperty("split").GetDouble(), row.GetProperty("seed").GetInt64());
            foreach (var (part, training) in new[] { ("train", true), ("validation", false) })
                Assert.Equal(row.GetProperty(part).EnumerateArray().Select(i => i.GetInt32()), ValidationSplit.Take(items, item => item.ToString(), share, seed, training, Compat.Kohya, new(0)));
            var (train, validation) = (ValidationSplit.Take(items, item => item.ToString(), share, seed, true, Compat.Sound, new(0)), ValidationSplit.Take(items, item => item.ToString(), share, seed, false, Compat.Sound, new(0)));
            Assert.Equal(items, train.Concat(validation).Order());
        }
    }

    [Fact]
    public void A_broken_dataset_is_explained_in_one_go()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("dataset", "folder", "img", "1_style", "1.png"), Write(folder, "3_cat/good.png"));
        File.Copy(Golden.Path("images", "bad", "truncated.png"), Write(folder, "3_cat/cut.png"));
        folder.Write("3_cat/empty.jpg", "");
        folder.Write("3_cat/sheet.xlsx", "x");
        folder.Write("cats/lost.png", "x");
        File.Copy(Golden.Path("images", "bad", "text.png"), Write(folder, "2_text/text.png"));
        var report = Dataset.Build([new() { TrainDataDir = folder.Path, Resolution = new(64, 64) }], Compat.Sound, new(1), ImageChecking.Pixels).Report;
        Assert.Equal(["text.png", "cut.png", "empty.jpg"], report.Broken.Select(image => Path.GetFileName(image.Path)));
        Assert.Contains(report.Ignored, path => path.Path.EndsWith("cats") && path.Reason.Contains("10_sks cat"));
        Assert.Contains(report.Ignored, path => path.Path.EndsWith("sheet.xlsx"));
        Assert.Contains(report.Ignored, path => path.Path.EndsWith("2_text") && path.Reason.Contains("no picture"));
        Assert.Equal(1, report.Subsets.Single(subset => subset.Images > 0).WithoutCaption);
        Assert.Contains("empty.jpg: is empty", report.Broken[2].ToString());
    }

    [Fact]
    public void The_folder_of_pictures_itself_is_accepted()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("dataset", "folder", "img", "1_style", "1.png"), Write(folder, "5_sks cat/a.png"));
        File.Copy(Golden.Path("dataset", "folder", "img", "1_style", "1.png"), Write(folder, "mine/b.png"));
        var named = Dataset.Build([new() { TrainDataDir = Path.Combine(folder.Path, "5_sks cat"), Resolution = new(64, 64) }], Compat.Sound, new(1));
        Assert.Equal((5, "sks cat"), (named.Parts[0].Images[0].Repeats, named.Parts[0].Images[0].Caption));
        var plain = Dataset.Build([new() { TrainDataDir = Path.Combine(folder.Path, "mine"), Resolution = new(64, 64), SubsetDefaults = new() { NumRepeats = 7 } }], Compat.Sound, new(1));
        Assert.Equal((7, ""), (plain.Parts[0].Images[0].Repeats, plain.Parts[0].Images[0].Caption));
    }

    [Fact]
    public void Nothing_to_train_on_says_what_was_looked_for()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(Path.Combine(folder.Path, "cats"));
        Assert.Contains("does not begin with a number", Assert.Throws<DatasetException>(() => Dataset.Build([new() { TrainDataDir = folder.Path, Resolution = new(64, 64) }], Compat.Sound, new(1))).Message);
        Assert.Contains("does not exist", Assert.Throws<DatasetException>(() => Dataset.Build([new() { TrainDataDir = folder.Path + "x", Resolution = new(64, 64) }], Compat.Sound, new(1))).Message);
    }

    private static string Write(TemporaryFolder folder, string name)
    {
        var path = Path.Combine(folder.Path, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return path;
    }
}
