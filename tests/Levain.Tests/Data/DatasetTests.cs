using System.Text.Json;
using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class DatasetTests(ITestOutputHelper output)
{
    public static TheoryData<string> Runs() => [.. Directory.GetFiles(Golden.Path("dataset"), "run_*.json").Select(path => Path.GetFileName(path)).Order()];

    [Theory, MemberData(nameof(Runs))]
    public void A_whole_dataset_is_built_as_recorded(string file)
    {
        var (row, dataset, random, root) = Build(file);
        var part = dataset.Parts.Single();
        Assert.Equal(row.GetProperty("dataset_seed").GetInt64(), dataset.Seed);
        Assert.Equal(row.GetProperty("next_python_random").GetDouble(), random.Random());
        Assert.Equal(row.GetProperty("num_train_images").GetInt64(), part.TrainUses);
        Assert.Equal(row.GetProperty("num_reg_images").GetInt64(), part.RegUses);
        Assert.Equal(row.GetProperty("batches").GetInt32(), dataset.BatchCount);

        var recorded = row.GetProperty("images").EnumerateArray().ToList();
        var images = part.Images.OrderBy(image => Name(image.Path, root), StringComparer.Ordinal).ToList();
        Assert.Equal(recorded.Count, images.Count);
        foreach (var (expected, image) in recorded.OrderBy(image => image.GetProperty("path").GetString(), StringComparer.Ordinal).Zip(images))
        {
            Assert.Equal(expected.GetProperty("path").GetString(), Name(image.Path, root));
            Assert.Equal(expected.GetProperty("caption").GetString(), image.Caption);
            Assert.Equal(expected.GetProperty("repeats").GetInt64(), image.Repeats);
            Assert.Equal(expected.GetProperty("is_reg").GetBoolean(), image.IsReg);
            Assert.Equal(SizeOf(expected.GetProperty("size")), image.Size);
            Assert.Equal(SizeOf(expected.GetProperty("bucket")), image.Choice.Bucket);
            Assert.Equal(SizeOf(expected.GetProperty("resized")), image.Choice.Resized);
        }

        foreach (var layout in row.GetProperty("layouts").EnumerateObject())
        {
            part.AdvanceTo(int.Parse(layout.Name), dataset.Seed, random);
            Assert.Equal(layout.Value.GetProperty("batches").EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetInt32())), part.Batches);
            var buckets = layout.Value.GetProperty("buckets").EnumerateArray().ToList();
            Assert.Equal(buckets.Select(bucket => SizeOf(bucket.GetProperty("resolution"))), part.Buckets.Select(bucket => bucket.Size));
            foreach (var (expected, bucket) in buckets.Zip(part.Buckets))
                Assert.Equal(Strings(expected.GetProperty("images")), bucket.Images.Select(image => Name(part.Images[image].Path, root)));
        }
    }

    [Theory, MemberData(nameof(Runs))]
    public void Its_metadata_are_those_recorded(string file)
    {
        var (row, dataset, _, _) = Build(file);
        var part = dataset.Parts.Single();
        var recorded = row.GetProperty("metadata");
        foreach (var (name, reg) in new[] { ("ss_dataset_dirs", false), ("ss_reg_dataset_dirs", true) })
        {
            var folders = JsonElement.Parse(recorded.GetProperty(name).GetString()!).EnumerateObject()
                .Select(folder => (folder.Name, folder.Value.GetProperty("n_repeats").GetInt64(), folder.Value.GetProperty("img_count").GetInt32()));
            Assert.Equal(folders, part.Subsets.Where(subset => subset.Options.IsReg == reg).Select(subset => (subset.Name, subset.Options.NumRepeats, subset.ImageCount)));
        }
        var tags = JsonElement.Parse(recorded.GetProperty("ss_tag_frequency").GetString()!).EnumerateObject().ToList();
        Assert.Equal(tags.Select(folder => folder.Name), part.Subsets.Select(subset => subset.Name));
        foreach (var (folder, subset) in tags.Zip(part.Subsets))
            Assert.Equal(folder.Value.EnumerateObject().Select(tag => KeyValuePair.Create(tag.Name, tag.Value.GetInt32())), subset.TagFrequency);
        var buckets = JsonElement.Parse(recorded.GetProperty("ss_bucket_info").GetString()!);
        Assert.Equal(buckets.GetProperty("buckets").EnumerateObject().Select(bucket => (SizeOf(bucket.Value.GetProperty("resolution")), bucket.Value.GetProperty("count").GetInt32())),
            dataset.Report.Buckets.Select(bucket => (bucket.Size, bucket.Uses)));
        Assert.Equal(buckets.GetProperty("mean_img_ar_error").GetDouble(), part.MeanAspectError, 1e-12);
    }

    [Theory, MemberData(nameof(Runs))]
    public void Each_batch_holds_the_recorded_pictures(string file)
    {
        var (row, dataset, random, root) = Build(file);
        var part = dataset.Parts.Single();
        var drawer = new SampleDrawer(part, maxTrainSteps: 1600, cached: false, []);
        foreach (var epoch in row.GetProperty("items").EnumerateObject())
        {
            var number = int.Parse(epoch.Name);
            part.AdvanceTo(number, dataset.Seed, random);
            foreach (var (expected, index) in epoch.Value.EnumerateArray().Select((item, index) => (item, index)))
            {
                var (size, images) = part.PicturesOf(index);
                var samples = images.Select(image => drawer.Draw(image, size, number, 3 * number, random)).ToList();
                Assert.Equal(Strings(expected.GetProperty("images")), samples.Select(sample => Name(sample.Path, root)));
                Assert.Equal(Strings(expected.GetProperty("captions")), samples.Select(sample => sample.Caption));
                Assert.Equal(expected.GetProperty("flipped").EnumerateArray().Select(flip => flip.GetBoolean()), samples.Select(sample => sample.Flipped));
                Assert.Equal(expected.GetProperty("loss_weights").EnumerateArray().Select(weight => (float)weight.GetDouble()), samples.Select(sample => (float)sample.LossWeight));
                Assert.Equal(Pairs(expected.GetProperty("original_sizes_hw")), samples.Select(sample => (sample.OriginalSize.Height, sample.OriginalSize.Width)));
                Assert.Equal(Pairs(expected.GetProperty("crop_top_lefts")), samples.Select(sample => sample.ConditioningCrop));
                Assert.Equal(Pairs(expected.GetProperty("target_sizes_hw")), samples.Select(_ => (size.Height, size.Width)));
                foreach (var (pixels, sample) in expected.GetProperty("pixels_rgb_at_8_24_56").EnumerateArray().Zip(samples))
                {
                    var picture = BatchReader.ReadPicture(part, sample, size, Compat.Kohya);
                    // Two decoders of a lossy format differ by rounding.
                    var tolerance = Path.GetExtension(sample.Path).ToLowerInvariant() is ".jpg" or ".jpeg" or ".webp" ? 3 : 1;
                    foreach (var (at, i) in new[] { 8, 24, 56 }.Select((at, i) => (at, i)))
                        for (var c = 0; c < 3; c++)
                            Assert.True(Math.Abs(pixels[i][c].GetInt32() - picture.Row(at)[3 * at + c]) <= tolerance, $"{sample.Key} at {at}: {picture.Row(at)[3 * at + c]} instead of {pixels[i][c]}");
                }
            }
        }
    }

    [Theory, MemberData(nameof(Runs))]
    public void The_loader_hands_batches_out_as_kohyas_does(string file)
    {
        var (row, dataset, random, root) = Build(file);
        var loader = row.GetProperty("loader");
        var torch = new MersenneTwister((uint)loader.GetProperty("torch_seed").GetUInt64());
        using var batches = new BatchLoader(dataset, random, count => LoaderOrder.Draw(torch.Next, count), 1600, cached: false, [], plan => new(plan.Size, plan.Samples));
        var (step, epochNumber) = (0, 0);
        foreach (var epoch in loader.GetProperty("epochs").EnumerateArray())
        {
            epochNumber++;
            foreach (var (expected, batch) in epoch.EnumerateArray().Zip(batches.Epoch(epochNumber)))
            {
                using (batch)
                {
                    batches.Step = step++;
                    Assert.Equal(Strings(expected.GetProperty("images")), batch.Paths.Select(path => Name(path, root)));
                    Assert.Equal(Strings(expected.GetProperty("captions")), batch.Captions);
                    Assert.Equal(expected.GetProperty("flipped").EnumerateArray().Select(flip => flip.GetBoolean()), batch.Flips);
                }
            }
        }
    }

    [Fact]
    public void Recorded_trainings_see_the_same_pictures_captions_and_flips()
    {
        var (replayed, left) = (0, new List<string>());
        foreach (var path in Directory.GetFiles(Golden.Path("training"), "*.json").Order())
        {
            var row = Golden.Json("training", Path.GetFileName(path));
            if (row.ValueKind != JsonValueKind.Object || !row.TryGetProperty("args", out var args)) continue;
            var arguments = Strings(args).ToList();
            if (Reason(row, arguments) is { } reason) left.Add($"{Path.GetFileNameWithoutExtension(path)} ({reason})");
            else
            {
                Replay(row, arguments);
                replayed++;
            }
        }
        output.WriteLine($"{replayed} replayed; {left.Count} left to the whole run's test: {string.Join(", ", left)}");
        Assert.True(replayed > 0);
    }

    // Runs whose order depends on more than the dataset: the torch generator's place, or Python numbers drawn by the step.
    private static string? Reason(JsonElement row, List<string> arguments) =>
        row.TryGetProperty("error", out _) || !row.TryGetProperty("steps", out var steps) || steps.GetArrayLength() == 0 || !steps[0].TryGetProperty("flips", out _) ? "records no batches"
        : row.TryGetProperty("toml", out var toml) && toml.ValueKind == JsonValueKind.String ? "dataset file"
        : arguments.Contains("--conditioning_data_dir") || arguments.Contains("--masked_loss") ? "mask pictures"
        : arguments.Contains("--resume") ? "resumed"
        : arguments.Contains("--validation_split") ? "validation draws"
        : arguments.Contains("--token_string") ? "embedding templates"
        : arguments.LastIndexOf("--max_data_loader_n_workers") is var at && at >= 0 && arguments[at + 1] != "0" ? "loader processes"
        : arguments.Contains("networks.dylora") ? "DyLoRA draws ranks"
        : arguments.Contains("--multires_noise_iterations") ? "pyramid noise draws"
        : null;

    private static void Replay(JsonElement row, List<string> arguments)
    {
        var name = row.GetProperty("name").GetString();
        var (options, maxSteps) = KohyaDataArguments.Read(arguments, path => path.Replace("$DATASET", Golden.Path("training", "dataset")));
        var random = new PythonRandom(long.Parse(Last(arguments, "--seed") ?? "0"));
        var dataset = Dataset.Build([options], Compat.Kohya, random);
        Assert.Equal(row.GetProperty("datasets")[0].GetProperty("seed").GetInt64(), dataset.Seed);
        var cached = arguments.Any(argument => argument.StartsWith("--cache_latents"));
        var perEpoch = dataset.BatchCount;
        var accumulation = int.Parse(Last(arguments, "--gradient_accumulation_steps") ?? "1");
        if (Last(arguments, "--max_train_epochs") is { } epochs) maxSteps = int.Parse(epochs) * ((perEpoch + accumulation - 1) / accumulation);

        var steps = row.GetProperty("steps").EnumerateArray().ToList();
        // Each epoch's order is drawn from four numbers just before its first step.
        var (epoch, torch) = (0, new MersenneTwister((uint)long.Parse(Last(arguments, "--seed") ?? "0")));
        var drawn = 0L;
        const int stepsWithPixels = 3;
        var looked = 0;
        using var loader = new BatchLoader(dataset, random, count =>
        {
            var position = steps[epoch * perEpoch].GetProperty("pos").GetInt64() - 4;
            torch.Skip(position - drawn);
            drawn = position + 4;
            return LoaderOrder.Draw(torch.Next, count);
        }, maxSteps, cached, [], plan => !cached && looked++ < stepsWithPixels ? BatchReader.Read(dataset.Parts[plan.Part], plan, Compat.Kohya) : new(plan.Size, plan.Samples));
        var (micro, made) = (0, 0);
        for (; micro < steps.Count; epoch++)
        {
            foreach (var batch in loader.Epoch(epoch + 1))
            {
                using var _ = batch;
                if (micro == steps.Count) break;
                loader.Step = made;
                var expected = steps[micro++];
                // The recorder knows no folder where a metadata file names pictures without one.
                var keys = Strings(expected.GetProperty("keys")).ToList();
                Assert.True(keys.SequenceEqual(batch.Keys.Select(key => keys[0].StartsWith('/') ? key[key.IndexOf('/')..] : key)), $"{name}, step {micro}: {string.Join(", ", batch.Keys)} instead of {expected.GetProperty("keys")}");
                Assert.Equal(Strings(expected.GetProperty("captions")), batch.Captions);
                Assert.Equal(expected.GetProperty("flips").EnumerateArray().Select(flip => flip.GetBoolean()), batch.Flips);
                Assert.Equal(expected.GetProperty("loss_weights").EnumerateArray().Select(weight => (float)weight.GetDouble()), batch.LossWeights);
                if (batch.Images is not null && expected.TryGetProperty("detail", out var detail) && detail.TryGetProperty("images", out var images)) CheckPixels(name!, dataset, batch, images);
                if (expected.TryGetProperty("grad_norm", out var norm) && norm.ValueKind == JsonValueKind.Number) made++;
            }
        }
    }

    // Where nothing is resampled the bytes are exact; elsewhere the mean is that of the recorded picture.
    private static void CheckPixels(string name, Dataset dataset, Batch batch, JsonElement images)
    {
        foreach (var (crc, sample) in images.GetProperty("crc32_rgb").EnumerateArray().Zip(batch.Samples))
        {
            var picture = BatchReader.ReadPicture(dataset.Parts[0], sample, batch.Size, Compat.Kohya);
            if (sample.Resized != sample.OriginalSize || sample.Color is not null || picture.Channels != 3) continue;
            var check = new ICSharpCode.SharpZipLib.Checksum.Crc32();
            check.Update(picture.Data);
            Assert.True(crc.GetInt64() == check.Value, $"{name}: {sample.Key} has other pixels");
        }
        var (recorded, mean) = (images.GetProperty("mean").GetDouble(), batch.Images!.data<float>().ToArray().Average(value => (double)value));
        Assert.True(Math.Abs(recorded - mean) < 2e-3, $"{name}: {string.Join(", ", batch.Keys)} have a mean of {mean} instead of {recorded}");
    }

    private static string? Last(List<string> arguments, string name) => arguments.LastIndexOf(name) is >= 0 and var at ? arguments[at + 1] : null;

    private static (JsonElement Row, Dataset Dataset, PythonRandom Random, string Root) Build(string file)
    {
        var row = Golden.Json("dataset", file);
        var root = Golden.Path("dataset", "folder");
        var (options, _) = KohyaDataArguments.Read([.. Strings(row.GetProperty("arguments"))], path => Path.Combine(root, path));
        var random = new PythonRandom(row.GetProperty("seed").GetInt64());
        return (row, Dataset.Build([options], Compat.Kohya, random), random, root);
    }

    private static string Name(string path, string root) => Path.GetRelativePath(root, path).Replace('\\', '/');

    private static IEnumerable<string> Strings(JsonElement list) => list.EnumerateArray().Select(text => text.GetString()!);

    private static IEnumerable<(int, int)> Pairs(JsonElement list) => list.EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetInt32()));

    private static PixelSize SizeOf(JsonElement pair) => new(pair[0].GetInt32(), pair[1].GetInt32());
}
