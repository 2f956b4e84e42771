using Levain.Core;
using Levain.Data;
using NetVips;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Data;

/// <summary>Masks of the loss: pictures of their own beside the pictures that are trained.</summary>
public sealed class MaskTests
{
    private static readonly PixelSize Wide = new(160, 64), Square = new(64, 64);

    private static DatasetOptions Options(TemporaryFolder folder) => new()
    {
        Resolution = Square,
        Subsets = [new() { ImageDir = Path.Combine(folder.Path, "pictures"), ConditioningDataDir = Path.Combine(folder.Path, "masks"), FlipAug = true, CaptionDropoutEveryNEpochs = 2, ClassTokens = "cat" }],
    };

    // Left half white, right half black, on both sides.
    private static TemporaryFolder WithMasks(params PixelSize[] masks)
    {
        var folder = new TemporaryFolder();
        foreach (var name in new[] { "pictures", "masks" }) Directory.CreateDirectory(Path.Combine(folder.Path, name));
        Write(Path.Combine(folder.Path, "pictures", "a.png"), Wide);
        foreach (var size in masks) Write(Path.Combine(folder.Path, "masks", "a.png"), size);
        return folder;
    }

    private static void Write(string path, PixelSize size)
    {
        using var black = Image.Black(size.Width / 2, size.Height, bands: 3);
        using var white = black.Linear([1, 1, 1], [255, 255, 255], uchar: true);
        using var both = white.Join(black, Enums.Direction.Horizontal);
        both.Pngsave(path);
    }

    private static List<(bool Flipped, string Caption, float[] Mask, float[] Red)> Epochs(Dataset dataset, CachedLatents? latents = null)
    {
        using var loader = new BatchLoader(dataset, new(3), count => [.. Enumerable.Range(0, count).Select(i => (long)i)], 100, latents);
        var seen = new List<(bool, string, float[], float[])>();
        for (var epoch = 1; epoch <= 8; epoch++)
            foreach (var batch in loader.Epoch(epoch))
            {
                using var _ = batch;
                seen.Add((batch.Flips[0], batch.Captions[0], batch.Masks!.data<float>().ToArray(), batch.Images is { } images ? images[0, 0].contiguous().data<float>().Select(value => value / 2 + 0.5f).ToArray() : []));
            }
        return seen;
    }

    [Fact]
    public void A_mask_is_cut_and_mirrored_as_its_picture_is()
    {
        using var folder = WithMasks(Wide);
        var seen = Epochs(Dataset.Build([Options(folder)], Compat.Sound, new(1)));
        Assert.Equal([false, true], seen.Select(batch => batch.Flipped).Distinct().Order());
        Assert.All(seen, batch => Assert.Equal(batch.Red, batch.Mask));
        Assert.All(seen, batch => Assert.Equal(batch.Flipped ? 0 : 1, batch.Mask[0], 3));
    }

    [Fact]
    public void Masks_are_the_same_where_latents_are_cached()
    {
        using var folder = WithMasks(Wide);
        var dataset = Dataset.Build([Options(folder)], Compat.Sound, new(1));
        using var scope = NewDisposeScope();
        using var latents = CachedLatents.Create(dataset.Parts, new("", images => zeros(images.shape[0], 8, images.shape[2] / 8, images.shape[3] / 8), moments => moments.narrow(1, 0, 4)), Compat.Sound);
        var (cached, live) = (Epochs(dataset, latents), Epochs(Dataset.Build([Options(folder)], Compat.Sound, new(1))));
        Assert.Equal(live.Select(batch => (batch.Flipped, batch.Caption)), cached.Select(batch => (batch.Flipped, batch.Caption)));
        Assert.All(live.Zip(cached), pair => Assert.Equal(pair.First.Mask, pair.Second.Mask));
    }

    [Fact]
    public void Captions_beside_masks_are_dropped_in_their_epochs_only()
    {
        using var folder = WithMasks(Wide);
        Assert.Equal(["cat", "", "cat", "", "cat", "", "cat", ""], Epochs(Dataset.Build([Options(folder)], Compat.Sound, new(1))).Select(batch => batch.Caption));
        Assert.All(Epochs(Dataset.Build([Options(folder)], Compat.Kohya, new(1))), batch => Assert.Equal("", batch.Caption));
    }

    [Fact]
    public void A_warm_up_of_a_share_of_all_steps_does_nothing_beside_masks_in_kohya()
    {
        using var folder = WithMasks(Wide);
        var options = Options(folder) with { Subsets = [Options(folder).Subsets[0] with { ClassTokens = "a, b", CaptionDropoutEveryNEpochs = 0, TokenWarmupStep = 0.5 }] };
        Assert.All(Epochs(Dataset.Build([options], Compat.Sound, new(1))), batch => Assert.Equal("a", batch.Caption));
        Assert.All(Epochs(Dataset.Build([options], Compat.Kohya, new(1))), batch => Assert.Equal("a, b", batch.Caption));
    }

    [Theory]
    [InlineData(true, "nearest", "area", "area")]
    [InlineData(true, "nearest", null, "lanczos")]      // 160x64 to 64x96: one side grows
    [InlineData(false, "nearest", null, "area")]        // as if it were 64x160
    public void Kohya_resizes_masks_in_the_dataset_s_way(bool buckets, string ofSubset, string? ofDataset, string expected)
    {
        using var folder = WithMasks(Wide);
        var options = Options(folder) with
        {
            Resolution = new(64, 96),
            EnableBucket = buckets,
            MinBucketReso = 64,
            MaxBucketReso = 96,
            ResizeInterpolation = ofDataset,
            Subsets = [Options(folder).Subsets[0] with { ResizeInterpolation = ofSubset, FlipAug = false }],
        };
        var part = Dataset.Build([options], Compat.Kohya, new(1)).Parts[0];
        var size = new PixelSize(64, 96);
        var sample = new SampleDrawer(part, 1, cached: false, []).Draw(0, size, 1, 1, new(1));
        var path = part.Images[0].Mask!;
        Assert.Equal(Resampling.Resize(ImageReader.Read(path, Compat.Kohya).Pixels, size, expected).Data, BatchReader.ReadMask(part, sample, path, size, Compat.Kohya).Data);
    }

    [Fact]
    public void A_missing_mask_is_named()
    {
        using var folder = WithMasks();
        var error = Assert.Throws<DatasetException>(() => Dataset.Build([Options(folder)], Compat.Sound, new(1)));
        Assert.Contains("a.png: has no mask in", error.Message);
    }

    [Fact]
    public void A_mask_of_another_size_is_refused()
    {
        using var folder = WithMasks(Square);
        var error = Assert.Throws<DatasetException>(() => Dataset.Build([Options(folder)], Compat.Sound, new(1)));
        Assert.Contains("is 64x64 px, and its picture", error.Message);
    }

    [Fact]
    public void A_mask_without_a_picture_is_told()
    {
        using var folder = WithMasks(Wide);
        Write(Path.Combine(folder.Path, "masks", "b.png"), Wide);
        var dataset = Dataset.Build([Options(folder)], Compat.Sound, new(1));
        Assert.Equal("b.png", Path.GetFileName(Assert.Single(dataset.Report.Ignored).Path));
    }

    [Fact]
    public void Masks_of_numbered_folders_may_lie_in_folders_of_the_same_names()
    {
        using var folder = WithMasks();
        Directory.Move(Path.Combine(folder.Path, "pictures"), Path.Combine(folder.Path, "5_cat"));
        var (pictures, masks) = (Path.Combine(folder.Path, "data"), Path.Combine(folder.Path, "masks", "5_cat"));
        Directory.CreateDirectory(pictures);
        Directory.Move(Path.Combine(folder.Path, "5_cat"), Path.Combine(pictures, "5_cat"));
        Directory.CreateDirectory(masks);
        Write(Path.Combine(masks, "a.png"), Wide);
        var options = new DatasetOptions { Resolution = Square, TrainDataDir = pictures, SubsetDefaults = new() { ConditioningDataDir = Path.Combine(folder.Path, "masks") } };
        Assert.Equal(Path.Combine(masks, "a.png"), Assert.Single(Dataset.Build([options], Compat.Sound, new(1)).Parts[0].Images).Mask);
        Assert.Contains("has no mask in", Assert.Throws<DatasetException>(() => Dataset.Build([options], Compat.Kohya, new(1))).Message);
    }
}
