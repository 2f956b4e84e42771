using System.Text.Json;
using SkiaSharp;
using Xunit;

namespace Levain.EndToEnd;

public sealed class DemoTests(ITestOutputHelper output) : IDisposable
{
    private const double LossTolerance = 2e-5;              // kohya's own losses moved by less than 1e-7 with other kernels
    private const int Cell = 128, Gap = 4, Columns = 4, Rows = 8, WithoutHerName = 4, Strength08 = 2;

    private readonly string folder = Directory.CreateTempSubdirectory("levain-demo-").FullName;

    private static string Recorded => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../..", "tests", "golden", "demo", "mochi-kohya.json"));

    [Fact]
    public void The_demo_bakes_kohyas_LoRA_and_draws_what_it_learnt()
    {
        var demo = LevainProcess.Run(folder, "demo", "--json");
        Assert.True(demo.Code == 0, demo.ToString());
        var place = Path.Combine(folder, "levain-demo");
        var told = JsonDocument.Parse(demo.Output).RootElement;
        Assert.Equal(Path.Combine(place, "mochi.safetensors"), told.GetProperty("path").GetString());

        var expected = JsonDocument.Parse(File.ReadAllText(Recorded)).RootElement.GetProperty("steps").EnumerateArray().Select(step => step.GetProperty("loss").GetDouble()).ToList();
        var losses = File.ReadLines(Path.Combine(place, "log", "mochi.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
            .Where(line => line.GetProperty("event").GetString() == "step").Select(line => line.GetProperty("loss").GetDouble()).ToList();
        Assert.Equal(expected.Count, losses.Count);
        var worst = expected.Zip(losses, (a, b) => Math.Abs(a - b)).Max();
        output.WriteLine($"{losses.Count} losses within {worst:0.0e+0} of kohya's.");
        Assert.True(worst <= LossTolerance, $"A loss is {worst:0.0e+0} off.");

        Assert.True(File.Exists(Path.Combine(place, "loss.png")) && File.Exists(Path.Combine(place, "run.toml")));
        Assert.Single(Directory.GetFiles(Path.Combine(place, "log"), "events.out.tfevents.*", SearchOption.AllDirectories));
        var changed = Changes(Path.Combine(place, "grid.png"));
        output.WriteLine($"At 0.8 pictures move by {string.Join(", ", changed.Select(change => $"{change:0.0}"))} of 255.");
        Assert.All(changed.Take(WithoutHerName), change => Assert.True(change < 16, $"A picture without her name moves by {change:0.0}."));
        Assert.All(changed.Skip(WithoutHerName), change => Assert.True(change > 20, $"A picture with her name moves by {change:0.0} only."));
    }

    /// <summary>Mean difference of each row's picture at strength 0.8 from the one without the LoRA, in levels of 255.</summary>
    private static IReadOnlyList<double> Changes(string grid)
    {
        using var picture = SKBitmap.Decode(grid);
        var left = picture.Width - Columns * Cell - (Columns - 1) * Gap;
        var top = picture.Height - Rows * Cell - (Rows - 1) * Gap;
        return [.. Enumerable.Range(0, Rows).Select(row =>
        {
            var sum = 0.0;
            for (var y = 0; y < Cell; y++)
                for (var x = 0; x < Cell; x++)
                {
                    var (line, first) = (top + row * (Cell + Gap) + y, left + x);
                    var (a, b) = (picture.GetPixel(first, line), picture.GetPixel(first + Strength08 * (Cell + Gap), line));
                    sum += Math.Abs(a.Red - b.Red) + Math.Abs(a.Green - b.Green) + Math.Abs(a.Blue - b.Blue);
                }
            return sum / (3 * Cell * Cell);
        })];
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
