using Levain.Core;
using Levain.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Data;

public sealed class CachedLatentsTests
{
    // Pictures averaged over cells of 8 px, and their squares: eight channels from three.
    private static LatentEncoder Encoder(string identity = "vae") => new(identity, images =>
    {
        using var scope = NewDisposeScope();
        var cells = nn.functional.avg_pool2d(images, 8);
        return cat([cells, cells * cells, cells[.., ..2]], 1).MoveToOuterDisposeScope();
    }, moments => moments[.., ..4].clone());

    private static readonly DatasetOptions Train = new()
    {
        TrainDataDir = Golden.Path("training", "dataset", "train"),
        Resolution = new(128, 128),
        EnableBucket = true,
        MinBucketReso = 64,
        MaxBucketReso = 256,
        BatchSize = 2,
        SubsetDefaults = new() { FlipAug = true, CaptionExtension = ".txt" },
    };

    [Fact]
    public void Latents_found_in_the_folder_equal_fresh_ones()
    {
        using var folder = new TemporaryFolder();
        var dataset = Dataset.Build([Train], Compat.Sound, new(1));
        using var fresh = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Sound);
        using var first = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Sound, LatentStorage.Folder, folder.Path);
        using var second = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Sound, LatentStorage.Folder, folder.Path, batchSize: 3);
        var count = 2 * dataset.Parts[0].Images.Count;
        Assert.Equal((0, count), (first.Found, first.Encoded));
        Assert.Equal((count, 0), (second.Found, second.Encoded));
        foreach (var plan in Plans(dataset))
        {
            using var expected = fresh.Read(dataset.Parts[0], plan);
            using var stored = second.Read(dataset.Parts[0], plan);
            Assert.Equal(expected.Latents!.data<float>().ToArray(), stored.Latents!.data<float>().ToArray());
            // And both equal what the encoder makes of the batch itself.
            using var batch = BatchReader.Read(dataset.Parts[0], plan, Compat.Sound);
            using var direct = Encoder().Encode(batch.Images!);
            Assert.True(direct[.., ..4].allclose(stored.Latents!, 1e-6, 1e-6));
        }
    }

    [Fact]
    public void A_changed_picture_or_another_vae_is_never_found()
    {
        using var folder = new TemporaryFolder();
        var pictures = CopyOfTrain(folder);
        var options = Train with { TrainDataDir = pictures };
        var store = Path.Combine(folder.Path, "latents");
        CachedLatents Make(string vae, DatasetOptions? other = null) =>
            CachedLatents.Create(Dataset.Build([other ?? options], Compat.Sound, new(1)).Parts, Encoder(vae), Compat.Sound, LatentStorage.Folder, store);
        var all = 0;
        using (var first = Make("one")) all = first.Encoded;
        using (var otherVae = Make("two")) Assert.Equal((0, all), (otherVae.Found, otherVae.Encoded));
        using (var otherFilter = Make("one", options with { ResizeInterpolation = "bicubic" })) Assert.True(otherFilter.Encoded == all);

        // Same name, same size, same time: only the content tells.
        var changed = Path.Combine(pictures, "2_sks cat", "cat1.png");
        var time = File.GetLastWriteTimeUtc(changed);
        File.WriteAllBytes(changed, File.ReadAllBytes(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png")));
        File.SetLastWriteTimeUtc(changed, time);
        using (var again = Make("one")) Assert.Equal((all - 2, 2), (again.Found, again.Encoded));
        using (var settled = Make("one")) Assert.Equal((all, 0), (settled.Found, settled.Encoded));
    }

    [Fact]
    public async Task Several_runs_share_a_folder_and_a_damaged_file_is_made_anew()
    {
        using var folder = new TemporaryFolder();
        var runs = Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            var dataset = Dataset.Build([Train], Compat.Sound, new(1));
            using var latents = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Sound, LatentStorage.Folder, folder.Path);
            using var batch = latents.Read(dataset.Parts[0], Plans(dataset).First());
            return batch.Latents!.data<float>().ToArray();
        }));
        var results = await Task.WhenAll(runs);
        Assert.All(results, result => Assert.Equal(results[0], result));
        var files = Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories);
        Assert.All(files, file => Assert.EndsWith(".safetensors", file));

        File.WriteAllBytes(files[0], File.ReadAllBytes(files[0])[..40]);
        using var mended = CachedLatents.Create(Dataset.Build([Train], Compat.Sound, new(1)).Parts, Encoder(), Compat.Sound, LatentStorage.Folder, folder.Path);
        Assert.Equal(1, mended.Encoded);
    }

    [Fact]
    public void Kohyas_files_are_written_as_kohya_writes_them_and_read_again()
    {
        using var folder = new TemporaryFolder();
        var options = Train with { TrainDataDir = CopyOfTrain(folder) };
        using (var written = CachedLatents.Create(Dataset.Build([options], Compat.Kohya, new(1)).Parts, Encoder(), Compat.Kohya, LatentStorage.KohyaFiles)) Assert.Equal(0, written.Found);
        foreach (var file in Golden.Json("training", "cache_disk.json").GetProperty("npz").EnumerateObject())
        {
            var arrays = Npz.Read(Path.Combine(folder.Path, file.Name));
            Assert.Equal(file.Value.EnumerateObject().Select(array => array.Name).Order(), arrays.Keys.Where(name => name != "levain_key").Order());
            foreach (var array in file.Value.EnumerateObject())
            {
                Assert.Equal(array.Value.GetProperty("shape").EnumerateArray().Select(side => side.GetInt64()), arrays[array.Name].Shape);
                Assert.Equal(array.Value.GetProperty("dtype").GetString(), arrays[array.Name].Type switch { "<f4" => "float32", "<f8" => "float64", "<i8" => "int64", var other => other });
                if (array.Name is "original_size" or "crop_ltrb")
                    Assert.Equal(array.Value.GetProperty("first").EnumerateArray().Select(value => (float)value.GetDouble()), arrays[array.Name].ToFloats());
            }
        }

        var dataset = Dataset.Build([options], Compat.Kohya, new(1));
        using var read = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Kohya, LatentStorage.KohyaFiles);
        using var fresh = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Kohya);
        Assert.Equal(0, read.Encoded);
        foreach (var plan in Plans(dataset))
        {
            using var expected = fresh.Read(dataset.Parts[0], plan);
            using var found = read.Read(dataset.Parts[0], plan);
            Assert.Equal(expected.Latents!.data<float>().ToArray(), found.Latents!.data<float>().ToArray());
        }
        using var otherVae = CachedLatents.Create(dataset.Parts, Encoder("another"), Compat.Kohya, LatentStorage.KohyaFiles);
        Assert.Equal(0, otherVae.Found);
    }

    [Fact]
    public void A_file_that_kohya_wrote_is_taken_where_its_size_fits()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png"), Path.Combine(folder.Path, "s1.png"));
        var options = new DatasetOptions { Resolution = new(128, 128), Subsets = [new() { ImageDir = folder.Path }] };
        var values = Enumerable.Range(0, 4 * 16 * 16).Select(i => i / 100f).ToArray();
        var path = Path.Combine(folder.Path, "s1_0128x0128_sd.npz");
        Npz.Write(path, [new("latents_16x16", NpyArray.Of(values, 4, 16, 16))]);
        var dataset = Dataset.Build([options], Compat.Kohya, new(1));
        using (var taken = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Kohya, LatentStorage.KohyaFiles))
        {
            using var batch = taken.Read(dataset.Parts[0], Plans(dataset).First());
            Assert.Equal(values, batch.Latents!.data<float>().ToArray());
        }
        Npz.Write(path, [new("latents", NpyArray.Of(values, 4, 8, 32))]);
        using var refused = CachedLatents.Create(dataset.Parts, Encoder(), Compat.Kohya, LatentStorage.KohyaFiles);
        Assert.Equal(0, refused.Found);
    }

    [Fact]
    public void Trainers_of_whole_models_name_kohyas_files_after_sdxl()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png"), Path.Combine(folder.Path, "s1.png"));
        var dataset = Dataset.Build([new() { Resolution = new(128, 128), Subsets = [new() { ImageDir = folder.Path }] }], Compat.Kohya, new(1));
        using var written = CachedLatents.Create(dataset.Parts, Encoder() with { FileEnding = "sdxl" }, Compat.Kohya, LatentStorage.KohyaFiles);
        Assert.Equal("s1_0128x0128_sdxl.npz", Path.GetFileName(Assert.Single(Directory.GetFiles(folder.Path, "*.npz"))));
    }

    [Fact]
    public void Of_two_datasets_of_the_same_pictures_the_second_takes_the_first_s_latents_as_in_kohya()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png"), Path.Combine(folder.Path, "s1.png"));
        DatasetOptions Of(int side, bool flip) => new() { Resolution = new(side, side), Subsets = [new() { ImageDir = folder.Path, FlipAug = flip }] };
        Assert.Equal(("8 8", 1, 1), Sides(Compat.Kohya, Of(64, false), Of(128, false)));
        Assert.Equal(("16 16", 0, 3), Sides(Compat.Kohya, Of(64, false), Of(128, true)));     // what is missing is encoded anew, for both
        Assert.Equal(("16 16", 2, 2), Sides(Compat.Kohya, Of(128, true), Of(64, true)));
        Assert.Equal(("8 16", 0, 2), Sides(Compat.Kohya with { OneFileForAll = false }, Of(64, false), Of(128, false)));

        (string, int, int) Sides(Compat compat, params DatasetOptions[] options)
        {
            foreach (var file in Directory.GetFiles(folder.Path, "*.npz")) File.Delete(file);
            var dataset = Dataset.Build(options, compat, new(1));
            using var latents = CachedLatents.Create(dataset.Parts, Encoder(), compat, LatentStorage.KohyaFiles);
            return (string.Join(' ', dataset.Parts.Select(part =>
            {
                using var batch = latents.Read(part, new(0, 0, part.Buckets[0].Size, [new SampleDrawer(part, 1, cached: true, []).Draw(0, part.Buckets[0].Size, 1, 1, new(1))]));
                return batch.Latents!.shape[2];
            })), latents.Found, latents.Encoded);
        }
    }

    [Fact]
    public void Numbers_are_drawn_alike_whether_latents_are_found_or_not()
    {
        using var folder = new TemporaryFolder();
        var dataset = Dataset.Build([Train], Compat.Sound, new(1));
        List<long[]> Drawn()
        {
            var shapes = new List<long[]>();
            using var latents = CachedLatents.Create(dataset.Parts, Encoder() with { Sample = moments => { shapes.Add(moments.shape); return moments[.., ..4].clone(); } },
                Compat.Sound, LatentStorage.Folder, folder.Path, batchSize: 2);
            return shapes;
        }
        Assert.Equal(Drawn(), Drawn());
    }

    [Fact]
    public void Pictures_that_change_each_time_are_refused()
    {
        var dataset = Dataset.Build([Train with { SubsetDefaults = new() { RandomCrop = true } }], Compat.Sound, new(1));
        Assert.Contains("random_crop", Assert.Throws<ArgumentException>(() => CachedLatents.Create(dataset.Parts, Encoder(), Compat.Sound)).Message);
    }

    private static IEnumerable<BatchPlan> Plans(Dataset dataset)
    {
        var (part, random) = (dataset.Parts[0], new PythonRandom(3));
        var drawer = new SampleDrawer(part, 100, cached: true, []);
        return Enumerable.Range(0, part.Batches.Count).Select(index =>
        {
            var (size, images) = part.PicturesOf(index);
            return new BatchPlan(0, index, size, [.. images.Select(image => drawer.Draw(image, size, 1, 0, random))]);
        }).ToList();
    }

    private static string CopyOfTrain(TemporaryFolder folder)
    {
        foreach (var file in Directory.GetFiles(Train.TrainDataDir!, "*", SearchOption.AllDirectories))
            folder.Write(Path.Combine("train", Path.GetRelativePath(Train.TrainDataDir!, file)), File.ReadAllBytes(file));
        return Path.Combine(folder.Path, "train");
    }
}
