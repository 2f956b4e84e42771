using System.Text.Json;
using FsCheck.Xunit;
using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class BucketTests
{
    [Fact]
    public void Every_recorded_picture_lands_where_kohya_puts_it()
    {
        foreach (var set in Golden.Json("dataset", "buckets.json").EnumerateObject())
        {
            var rule = BucketRule.Of(OptionsOf(set.Value));
            if (set.Value.TryGetProperty("predefined", out var predefined) && predefined.ValueKind == JsonValueKind.Array && rule.Predefined.Count > 0)
                Assert.Equal(predefined.EnumerateArray().Select(SizeOf), rule.Predefined);
            using var recorded = new GoldenIntegers("dataset", $"buckets_{set.Name}.safetensors");
            var (sizes, buckets, resized, crops) = (recorded.Ints("sizes"), recorded.Ints("bucket"), recorded.Ints("resized"), recorded.Ints("crop"));
            var (errors, borders) = (recorded.Doubles("ar_error"), recorded.Doubles("ltrb"));
            var (refused, used) = (0, new HashSet<PixelSize>());
            for (var i = 0; i < errors.Length; i++)
            {
                var size = new PixelSize(sizes[2 * i], sizes[2 * i + 1]);
                var choice = rule.Choose(size);
                var recordedBucket = new PixelSize(buckets[2 * i], buckets[2 * i + 1]);
                if (double.IsNaN(errors[i])) refused++;
                if (recordedBucket.Area == 0)
                {
                    // kohya makes an empty bucket or divides by zero here. Ours is one step at least, and the picture covers it.
                    Assert.True(choice.Bucket is { Width: > 0, Height: > 0 } && choice.Resized.Width >= choice.Bucket.Width && choice.Resized.Height >= choice.Bucket.Height);
                    continue;
                }
                Assert.Equal(recordedBucket, choice.Bucket);
                used.Add(recordedBucket);
                Assert.Equal((resized[2 * i], resized[2 * i + 1]), (choice.Resized.Width, choice.Resized.Height));
                Assert.Equal(errors[i], choice.AspectError, 1e-12);
                Assert.Equal((crops[2 * i], crops[2 * i + 1]), BucketRule.CentreCrop(choice.Resized, choice.Bucket));
                var (left, top, right, bottom) = BucketRule.ConditioningCrop(choice.Bucket, size);
                Assert.Equal(borders[(4 * i)..(4 * i + 4)], new[] { left, top, right, bottom });
            }
            Assert.Equal(set.Value.GetProperty("refused").GetInt32(), refused);
            Assert.Equal(set.Value.GetProperty("used_sorted").EnumerateArray().Select(SizeOf).Where(size => size.Area > 0), used.OrderBy(size => size.Width).ThenBy(size => size.Height));
        }
    }

    [Fact]
    public void Limits_are_widened_to_the_step_or_refused()
    {
        foreach (var row in Golden.Json("dataset", "bucket_limits.json").EnumerateArray())
        {
            (int, int) Limits() => BucketRule.Limits(SizeOf(row.GetProperty("resolution")), row.GetProperty("min_bucket_reso").GetInt32(),
                row.GetProperty("max_bucket_reso").GetInt32(), row.GetProperty("bucket_reso_steps").GetInt32());
            if (row.TryGetProperty("adjusted", out var adjusted)) Assert.Equal((adjusted[0].GetInt32(), adjusted[1].GetInt32()), Limits());
            else Assert.Contains(row.GetProperty("refused").GetString()!.Split(' ')[0], Assert.Throws<ArgumentException>(() => Limits()).Message);
        }
    }

    [Property]
    public void No_picture_is_enlarged_unasked_and_all_cover_their_bucket(ushort width, ushort height)
    {
        var size = new PixelSize(64 + width % 4000, 64 + height % 4000);
        if (Math.Max(size.Width, size.Height) > 8 * Math.Min(size.Width, size.Height)) return;
        var options = new DatasetOptions { Resolution = new(512, 512), EnableBucket = true, BucketNoUpscale = true };
        var choice = BucketRule.Of(options).Choose(size);
        Assert.True(choice.Resized.Width <= size.Width && choice.Resized.Height <= size.Height);
        Assert.True(choice.Bucket.Width <= choice.Resized.Width && choice.Bucket.Height <= choice.Resized.Height);
        Assert.True(choice.Bucket.Width % 64 == 0 && choice.Bucket.Height % 64 == 0);
    }

    private static DatasetOptions OptionsOf(JsonElement set) => new()
    {
        Resolution = SizeOf(set.GetProperty("resolution")),
        EnableBucket = set.GetProperty("enable_bucket").GetBoolean(),
        BucketNoUpscale = set.GetProperty("bucket_no_upscale").GetBoolean(),
        MinBucketReso = Int(set, "min_bucket_reso", 256),
        MaxBucketReso = Int(set, "max_bucket_reso", 1024),
        BucketResoSteps = Int(set, "bucket_reso_steps", 64),
    };

    private static int Int(JsonElement set, string name, int none) => set.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : none;

    private static PixelSize SizeOf(JsonElement pair) => new(pair[0].GetInt32(), pair[1].GetInt32());
}
