using Levain.Core;
using Levain.Data;
using Levain.Tests.Data;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Planning;

/// <summary>The guide's styles of captioning as choices.</summary>
public sealed class CaptioningTests
{
    private static readonly string Base = Path.Combine(Path.GetTempPath(), "levain-hollow-bases", "tiny_sd1.safetensors");

    private static (RunPlan? Plan, IReadOnlyList<Problem> Problems) Make(Captioning captioning, bool reg = false, string folder = "train")
    {
        HollowBase.At(Base);
        var settings = new RunSettings
        {
            Model = new() { Base = Base },
            Dataset = new()
            {
                Folder = Golden.Path("training", "dataset", folder),
                RegFolder = reg ? Golden.Path("training", "dataset", "reg") : null,
                Resolution = new(128, 128),
                MinBucketReso = 64,
                MaxBucketReso = 256,
                Shared = new() { Captioning = captioning },
            },
            Training = new() { Seed = 1 },
        };
        var problems = new Problems();
        return (RunPlan.Make(settings, problems, new PythonRandom(1)), problems.All);
    }

    [Fact]
    public void Keyword_style_takes_the_folders_words_and_passes_captions_over()
    {
        var (plan, problems) = Make(Captioning.Keyword);
        Assert.Empty(problems);
        Assert.Equal(["oil style", "sks cat"], plan!.Dataset.Parts[0].Images.Select(image => image.Caption).Distinct().Order());
    }

    [Fact]
    public void Keyword_style_needs_words()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png"), Path.Combine(folder.Path, "s1.png"));
        var options = new DatasetOptions { Resolution = new(64, 64), Subsets = [new() { ImageDir = folder.Path, Captioning = Captioning.Keyword }] };
        Assert.Contains("has no words to be called by", Assert.Throws<DatasetException>(() => Dataset.Build([options], Compat.Sound, new(1))).Message);
    }

    [Fact]
    public void Dreambooth_style_needs_regularization_pictures_and_finetune_style_has_none()
    {
        Assert.Equal("dataset.captioning", Assert.Single(Make(Captioning.Dreambooth).Problems).Where);
        Assert.Empty(Make(Captioning.Dreambooth, reg: true).Problems);
        Assert.Contains(Make(Captioning.Finetune, reg: true).Problems, problem => problem.What.Contains("with regularization pictures"));
    }

    [Fact]
    public void Finetune_style_wants_a_caption_for_every_picture()
    {
        using var folder = new TemporaryFolder();
        var pictures = Path.Combine(folder.Path, "1_cat");
        Directory.CreateDirectory(pictures);
        foreach (var name in new[] { "s1", "s2" }) File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", name + ".png"), Path.Combine(pictures, name + ".png"));
        File.WriteAllText(Path.Combine(pictures, "s1.txt"), "cat, sitting");
        var problem = Assert.Single(Make(Captioning.Finetune, folder: folder.Path).Problems);
        Assert.Equal((pictures, "has 1 picture without a caption, and captioning is \"finetune\"."), (problem.Where, problem.What));
        File.WriteAllText(Path.Combine(pictures, "s2.txt"), "cat, running");
        Assert.Empty(Make(Captioning.Finetune, folder: folder.Path).Problems);
    }
}
