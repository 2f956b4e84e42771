using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>kohya's LoRA-FA hands its optimizer the group of a text encoder whose rate is 0, too (K-38b).</summary>
public sealed class IdleGroupTests
{
    [Theory]
    [InlineData("lora_fa", 0)]
    [InlineData("lora", 1)]
    public void Gradients_of_an_idle_group_are_cleared_for_LoRA_FA_and_grow_for_others(string family, int grows)
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        settings = settings with
        {
            Compatibility = Compatibility.Kohya,
            Network = new() { Family = family, Rank = 2 },
            Optimizer = settings.Optimizer with { TextEncoderLearningRate = 0 },
            Training = settings.Training with { Steps = 2 },
        };
        var (left, kept) = (0.0, true);
        var run = SmallRun.Make(settings, look: run =>
        {
            foreach (var adapter in run.Network.Adapters.Where(adapter => adapter.Site.Part == NetworkPart.TextEncoder))
            {
                var up = adapter.Parameters.Single(parameter => parameter.Name == LierLa.UpName);
                left = Math.Max(left, up.GradientMatrix!.abs().max().item<float>());
                kept &= up.Value.abs().max().item<float>() == 0;
            }
        });
        Assert.True(kept);
        Assert.Equal(grows > 0, left > 0);
        Assert.Equal(2, run.Losses.Count());
    }

    [Fact]
    public void Groups_of_LoRA_FA_have_no_names_in_kohyas_log()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        var run = SmallRun.Make(settings with
        {
            Compatibility = Compatibility.Kohya,
            Network = new() { Family = "lora_fa", Rank = 2, DownWeights = BlockCurve.Of([0.5]), UpWeights = BlockCurve.Parse("zeros"), MidWeight = BlockCurve.Of([0.25]) },
            Training = settings.Training with { Steps = 1 },
        });
        var rates = run.Events.OfType<StepDone>().Single().Scalars.Where(scalar => scalar.Key.StartsWith("lr/")).ToDictionary();
        // One group for the text encoder, six blocks down that have attention, and the middle.
        Assert.Equal(["lr/group1", "lr/group2", "lr/group3", "lr/group4", "lr/group5", "lr/group6", "lr/group7", "lr/group8", "lr/textencoder"], rates.Keys.Order());
        Assert.Equal((4e-3, 2e-3, 1e-3, 1e-3), (rates["lr/textencoder"], rates["lr/group1"], rates["lr/group7"], rates["lr/group8"]));
    }
}
