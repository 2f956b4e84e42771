using System.Text.Json;
using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class ImageTests(ITestOutputHelper output)
{
    // Two decoders of a lossy format differ by rounding (tests/golden/images/README.md).
    private const int LossyMost = 3;
    private const double LossyMean = 0.6;

    // Pillow clips plain gray of 16 bits, and takes the upper byte where alpha stands beside it.
    [Theory, InlineData(1, 255), InlineData(2, 0x12)]
    public void Gray_of_16_bits_with_alpha_is_cut_and_without_clipped(int bands, byte expected)
    {
        using var gray = NetVips.Image.Black(4, 4).Linear([1], [0x1234]).Cast(NetVips.Enums.BandFormat.Ushort).Copy(interpretation: NetVips.Enums.Interpretation.Grey16);
        using var alpha = NetVips.Image.Black(4, 4).Linear([1], [0xffff]).Cast(NetVips.Enums.BandFormat.Ushort);
        using var both = bands == 1 ? gray.Copy() : gray.Bandjoin(alpha);
        var read = ImageReader.Read(both.PngsaveBuffer(bitdepth: 16), Compat.Kohya, alpha: true);
        Assert.Equal([expected, expected, expected, 255], read.Pixels.Data[..4]);
        Assert.Equal(bands == 2, read.HasAlpha);
    }

    // The shade's chunk makes a second band of what is plain gray all the same.
    [Fact]
    public void Gray_of_16_bits_with_a_transparent_shade_is_clipped()
    {
        using var gray = NetVips.Image.Black(4, 4).Linear([1], [0x1234]).Cast(NetVips.Enums.BandFormat.Ushort).Copy(interpretation: NetVips.Enums.Interpretation.Grey16);
        var plain = gray.PngsaveBuffer(bitdepth: 16);
        const int afterHeader = 33;
        byte[] chunk = [(byte)'t', (byte)'R', (byte)'N', (byte)'S', 0x43, 0x21];
        var crc = ~0u;
        foreach (var one in chunk)
        {
            crc ^= one;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB88320;
        }
        byte[] png = [.. plain[..afterHeader], 0, 0, 0, 2, .. chunk, .. BitConverter.GetBytes(~crc).Reverse(), .. plain[afterHeader..]];
        Assert.Equal([255, 255, 255, 255], ImageReader.Read(png, Compat.Kohya, alpha: true).Pixels.Data[..4]);
    }

    [Fact]
    public void Every_format_is_read_as_kohya_reads_it()
    {
        using var recorded = new GoldenIntegers("images", "decoded.safetensors");
        foreach (var row in Golden.Json("images", "decoded.json").EnumerateArray())
        {
            var file = row.GetProperty("file").GetString()!;
            var path = Golden.Path("images", "sources", file);
            Assert.True(row.GetProperty("listed").GetBoolean() == ImageNames.IsPicture(file, Compat.Kohya), file);
            Assert.True(ImageNames.IsPicture(file, Compat.Sound), file);
            Assert.Equal(SizeOf(row.GetProperty("size_for_bucket")), ImageHeader.Read(path).SizeForBucket(Compat.Kohya));
            Assert.Equal(SizeOf(row.GetProperty("pillow_size")), ImageHeader.Read(path).Stored);
            var lossy = Path.GetExtension(file) is ".jpg" or ".avif" || file is "lossy.webp" or "alpha_lossy.webp";
            foreach (var alpha in new[] { false, true })
            {
                var expected = recorded.Bytes($"{file}.{(alpha ? "rgba" : "rgb")}");
                var read = ImageReader.Read(path, Compat.Kohya, alpha).Pixels.Data;
                var (most, mean, _) = Difference(expected, read);
                Assert.True(lossy ? most <= LossyMost && mean < LossyMean : most == 0, $"{file} {(alpha ? "with" : "without")} alpha: differs by up to {most}, {mean:0.00} on average");
            }
        }
    }

    [Fact]
    public void By_default_pictures_are_read_as_a_viewer_shows_them()
    {
        // The eight turned files show one and the same picture.
        var upright = ImageReader.Read(Golden.Path("images", "sources", "exif_1.jpg"), Compat.Sound).Pixels;
        foreach (var file in Directory.GetFiles(Golden.Path("images", "sources"), "exif_*"))
        {
            var read = ImageReader.Read(file, Compat.Sound);
            Assert.Equal(read.Header.Size, read.Pixels.Size);
        }
        Assert.Equal(new PixelSize(16, 24), ImageHeader.Read(Golden.Path("images", "sources", "exif_6.png")).Size);
        Assert.Equal(new PixelSize(24, 16), upright.Size);

        // Transparent is white, whatever colour is hidden under it.
        var raw = ImageReader.Read(Golden.Path("images", "sources", "rgba.png"), Compat.Kohya, alpha: true).Pixels;
        var shown = ImageReader.Read(Golden.Path("images", "sources", "rgba.png"), Compat.Sound).Pixels;
        for (var i = 0; i < raw.Width * raw.Height; i++)
            for (var c = 0; c < 3; c++)
            {
                var alpha = raw.Data[4 * i + 3] / 255.0;
                Assert.Equal(raw.Data[4 * i + c] * alpha + 255 * (1 - alpha), shown.Data[3 * i + c], 0.51);
            }

        // 16 bits are scaled, not clipped to white.
        var gray = ImageReader.Read(Golden.Path("images", "sources", "gray16.png"), Compat.Sound).Pixels.Data;
        Assert.True(gray.Distinct().Count() > 20);
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6), InlineData(7), InlineData(8)]
    public void An_orientation_is_undone(int orientation)
    {
        // 3 columns, 2 rows; where each pixel of the upright picture is stored, after the EXIF table.
        var size = orientation >= 5 ? new PixelSize(2, 3) : new PixelSize(3, 2);
        string[] stored = ["abcdef", "cbafed", "fedcba", "defabc", "adbecf", "cfbead", "fcebda", "daebfc"];
        var picture = new Pixels(size, 3, [.. stored[orientation - 1].SelectMany(letter => new[] { (byte)letter, (byte)letter, (byte)letter })]);
        Assert.Equal("abcdef", string.Concat(picture.Upright(orientation).Data.Where((_, i) => i % 3 == 0).Select(value => (char)value)));
    }

    [Fact]
    public void Resampling_equals_kohyas_to_one_level()
    {
        using var recorded = new GoldenIntegers("images", "resize.safetensors");
        var failures = new List<string>();
        foreach (var name in recorded.Names.Where(name => !name.EndsWith(".source")))
        {
            var parts = name.Split('.');
            var (shape, source) = (recorded.Shape(name), recorded.Shape(parts[0] + ".source"));
            var picture = new Pixels(new(source[1], source[0]), source[2], recorded.Bytes(parts[0] + ".source"));
            var resized = Resampling.Resize(picture, new(shape[1], shape[0]), parts[2] == "default" ? null : parts[2]);
            var (most, _, equal) = Difference(recorded.Bytes(name), resized.Data);
            if (most > 1 || equal < 0.98) failures.Add($"{name}: {equal:P1} equal, differs by up to {most}");
        }
        Assert.Empty(failures);
    }

    [Fact]
    public void Resampling_equals_kohyas_at_real_sizes()
    {
        using var recorded = new GoldenIntegers("images", "resize_large.safetensors");
        var source = recorded.Metadata("source");
        foreach (var name in recorded.Names.Where(name => name.EndsWith(".every16")))
        {
            var parts = name.Split('.');
            var (from, to) = (SizeOf(parts[1]), SizeOf(parts[2]));
            var watch = System.Diagnostics.Stopwatch.StartNew();
            var resized = Resampling.Resize(Photo(source + parts[0], from), to);
            var every16 = new List<byte>();
            for (var y = 0; y < to.Height; y += 16)
                for (var x = 0; x < to.Width; x += 16) every16.AddRange(resized.Row(y).Slice(3 * x, 3));
            var (most, _, equal) = Difference(recorded.Bytes(name), [.. every16]);
            Assert.True(most <= 1 && equal >= 0.98, $"{name}: {equal:P1} equal, differs by up to {most}");
            var sums = recorded.Longs(name.Replace(".every16", ".sum"));
            for (var c = 0; c < 3; c++) Assert.Equal(1, resized.Data.Where((_, i) => i % 3 == c).Sum(value => (long)value) / (double)sums[c], 1e-4);
        }
    }

    [Fact]
    public void A_file_becomes_the_recorded_tensor()
    {
        using var recorded = new GoldenIntegers("images", "to_bucket.safetensors");
        foreach (var row in Golden.Json("images", "to_bucket.json").EnumerateArray())
        {
            var (key, file) = (row.GetProperty("key").GetString()!, row.GetProperty("file").GetString()!);
            using var folder = new TemporaryFolder();
            File.Copy(Golden.Path("images", "sources", file), Path.Combine(folder.Path, file));
            var noUpscale = row.GetProperty("bucket_no_upscale").GetBoolean();
            var seed = row.GetProperty("random_crop_seed");
            var options = new DatasetOptions
            {
                Resolution = noUpscale ? new(48, 48) : new(96, 96),
                EnableBucket = true,
                BucketNoUpscale = noUpscale,
                MinBucketReso = 32,
                MaxBucketReso = 192,
                BucketResoSteps = 16,
                Subsets = [new() { ImageDir = folder.Path, AlphaMask = row.GetProperty("alpha_mask").GetBoolean(), RandomCrop = seed.ValueKind == JsonValueKind.Number }],
            };
            var part = Dataset.Build([options], Compat.Kohya, new(0)).Parts[0];
            var size = part.Buckets[0].Size;
            Assert.Equal(SizeOf(row.GetProperty("bucket")), size);
            Assert.Equal(SizeOf(row.GetProperty("resized")), part.Images[0].Choice.Resized);
            Assert.Equal(SizeOf(row.GetProperty("original_size")), part.Images[0].ReadSize);
            var sample = new SampleDrawer(part, 0, cached: false, []).Draw(0, size, 1, 0, new(seed.ValueKind == JsonValueKind.Number ? seed.GetInt64() : 0));
            using var batch = BatchReader.Read(part, new(0, 0, size, [sample]), Compat.Kohya);
            Close(recorded.Floats(key), batch.Images!.data<float>().ToArray(), 1 / 127.5 + 1e-6, key);
            if (options.Subsets[0].AlphaMask) Close(recorded.Floats(key + ".mask"), batch.Masks!.data<float>().ToArray(), 1 / 255.0 + 1e-6, key + ".mask");
            else Assert.Null(batch.Masks);
            var crop = row.GetProperty("crop_ltrb");
            Assert.Equal(((int)crop[1].GetDouble(), (int)crop[0].GetDouble()), sample.ConditioningCrop);
        }
    }

    [Fact]
    public void Colours_change_as_recorded()
    {
        using var recorded = new GoldenIntegers("images", "augment.safetensors");
        var shape = recorded.Shape("source");
        Pixels Source() => new(new(shape[1], shape[0]), shape[2], recorded.Bytes("source"));
        foreach (var row in Golden.Json("images", "augment.json").EnumerateArray())
        {
            var random = new PythonRandom(row.GetProperty("seed").GetInt64());
            var change = ColorChange.Draw(random);
            Assert.Equal(row.GetProperty("next_random").GetDouble(), random.Random());
            var kind = row.GetProperty("kind").GetString();
            Assert.Equal(kind, change is null ? "none" : change.Hue is null ? "gamma" : "hue");
            if (change is null) continue;
            var picture = Source();
            change.Apply(picture);
            var (most, _, equal) = Difference(recorded.Bytes($"seed{row.GetProperty("seed")}"), picture.Data);
            Assert.True(kind == "hue" ? most <= 1 : most <= 1 && equal > 0.99, $"seed {row.GetProperty("seed")}, {kind}: differs by up to {most}");
        }
        var cube = recorded.Bytes("cube");
        var (hsv, back) = (recorded.Bytes("cube.hsv_of_bgr"), recorded.Bytes("cube.round_trip"));
        for (var i = 0; i < cube.Length; i += 3)
        {
            var (hue, saturation, value) = OpenCvHsv.FromBgr(cube[i], cube[i + 1], cube[i + 2]);
            Assert.Equal(hsv[i..(i + 3)], new[] { hue, saturation, value });
            var (b, g, r) = OpenCvHsv.ToBgr(hue, saturation, value);
            Assert.Equal(back[i..(i + 3)], new[] { b, g, r });
        }
        var flipped = Source();
        flipped.Flip();
        Assert.Equal(recorded.Bytes("flipped"), flipped.Data);
        var planes = new float[256 * 3];
        BatchReader.Spread(new(new(256, 1), 3, [.. Enumerable.Range(0, 256 * 3).Select(i => (byte)(i / 3))]), planes);
        Close(recorded.Floats("normalised_0_to_255"), planes[..256], 1e-6, "normalised");
    }

    [Fact]
    public void Faces_are_cut_out_as_recorded()
    {
        using var recorded = new GoldenIntegers("images", "face_crop.safetensors");
        var shape = recorded.Shape("source");
        var source = new Pixels(new(shape[1], shape[0]), shape[2], recorded.Bytes("source"));
        foreach (var row in Golden.Json("images", "face_crop.json").EnumerateArray())
        {
            var numbers = row.GetProperty("face").EnumerateArray().Select(number => number.GetInt32()).ToList();
            var range = row.GetProperty("face_crop_aug_range");
            var (random, target) = (new PythonRandom(row.GetProperty("seed").GetInt64()), new PixelSize(row.GetProperty("width").GetInt32(), row.GetProperty("height").GetInt32()));
            var (resized, left, top) = new FaceBox(numbers[0], numbers[1], numbers[2], numbers[3])
                .Cut(source.Size, target, (range[0].GetDouble(), range[1].GetDouble()), row.GetProperty("random_crop").GetBoolean(), random);
            Assert.Equal(row.GetProperty("next_random").GetDouble(), random.Random());
            var cut = Resampling.Resize(source, resized).Crop(left, top, target);
            Assert.True(Difference(recorded.Bytes(row.GetProperty("key").GetString()!), cut.Data).Most <= 1, row.GetProperty("key").GetString());
        }
    }

    [Fact]
    public void Bad_files_are_told_before_training()
    {
        foreach (var row in Golden.Json("images", "bad.json").EnumerateArray())
        {
            var (file, verdict) = (row.GetProperty("file").GetString()!, row.GetProperty("verdict").GetString()!);
            var path = Golden.Path("images", "bad", file);
            if (!File.Exists(path)) continue;
            var (found, words) = VerdictOf(path);
            output.WriteLine($"{verdict,-20} {file}: {words}");
            Assert.True(verdict switch
            {
                "corrupt" => found == "Corrupt",
                "empty" => found == "Empty",
                "not_an_image" => found == "NotAnImage",
                "unsupported" => found == "Unsupported",
                "too_large" => found == "TooLarge",
                "ok" => found == "ok",
                "ok_note" or "too_small" or "extreme_aspect" or "warn" => found == "note",
                "ok_note_or_corrupt" => found is "ok" or "note" or "Corrupt",
                "unlisted" or "unlisted_or_ok" => found is not "Corrupt",
                _ => false,
            }, $"{file}: {verdict} was asked for, {found} found: {words}");
            Assert.Equal(row.GetProperty("kohya_lists_it").GetBoolean(), ImageNames.IsPicture(file, Compat.Kohya));
        }
    }

    private static (string Verdict, string Words) VerdictOf(string path)
    {
        if (!ImageNames.IsPicture(Path.GetFileName(path), Compat.Sound)) return ("unlisted", "");
        try
        {
            var notes = ImageExamination.Pixels(path, Compat.Sound).Notes;
            return notes.Count == 0 ? ("ok", "") : ("note", string.Join(" / ", notes.Select(note => note.Message)));
        }
        catch (ImageException e)
        {
            return (e.Fault.ToString(), e.Message);
        }
    }

    private static (int Most, double Mean, double Equal) Difference(byte[] expected, byte[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var differences = expected.Zip(actual, (a, b) => Math.Abs(a - b)).ToList();
        return (differences.Max(), differences.Average(), differences.Count(difference => difference == 0) / (double)differences.Count);
    }

    private static void Close(float[] expected, float[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        var most = expected.Zip(actual, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(most <= tolerance, $"{what}: differs by up to {most}");
    }

    private static PixelSize SizeOf(JsonElement pair) => new(pair[0].GetInt32(), pair[1].GetInt32());

    private static PixelSize SizeOf(string text) => new(int.Parse(text.Split('x')[0]), int.Parse(text.Split('x')[1]));

    // The picture defined in tests/golden/images/README.md.
    private static Pixels Photo(string name, PixelSize size)
    {
        var picture = new Pixels(size, 3);
        var (w, h) = (size.Width, size.Height);
        for (var c = 0; c < 3; c++)
        {
            var hash = Synth.Hash($"{name}.{c}");
            for (var y = 0; y < h; y++)
                for (var x = 0; x < w; x++)
                {
                    var v = 127 + 60 * Math.Sin(x * (0.11 + 0.05 * c) + c) + 40 * Math.Cos(y * (0.07 + 0.04 * c) - 0.03 * x);
                    if (Math.Pow(x - 0.4 * w, 2) + Math.Pow(y - 0.55 * h, 2) < Math.Pow(0.25 * Math.Min(w, h), 2)) v = 235 - 90 * c;
                    v += 24 * Synth.Uniform(hash, (ulong)((long)y * w + x));
                    picture.Data[(y * w + x) * 3 + c] = (byte)Math.Clamp(Math.Floor(v), 0, 255);
                }
        }
        return picture;
    }
}
