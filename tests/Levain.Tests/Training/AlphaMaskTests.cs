using Levain.Tests.Data;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>Alpha channels as weights of the loss.</summary>
public sealed class AlphaMaskTests
{
    [Fact]
    public void The_loss_of_kohyas_fine_tune_py_passes_over_them()
    {
        using var folder = new TemporaryFolder();
        var pictures = Directory.CreateDirectory(Path.Combine(folder.Path, "1_sks cat")).FullName;
        File.Copy(Golden.Path("training", "dataset", "alpha", "1_sks cat", "a1.png"), Path.Combine(pictures, "a1.png"));
        var settings = SmallRun.Settings(folder);
        settings = settings with { Compatibility = Compatibility.Kohya, Training = settings.Training with { Steps = 2 } };
        IReadOnlyList<double> losses(bool masked, bool passedOver) =>
        [
            .. SmallRun.Make(settings with
            {
                Dataset = settings.Dataset with { Folder = folder.Path, Resolution = new(128, 128), Shared = new() { AlphaMask = masked } },
                Kohya = new() { PassesOverMasks = passedOver },
            }).Losses,
        ];

        var plain = losses(masked: false, passedOver: false);
        Assert.NotEqual(plain, losses(masked: true, passedOver: false));
        Assert.Equal(plain, losses(masked: true, passedOver: true));
    }
}
