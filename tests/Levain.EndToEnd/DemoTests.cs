using System.Text.Json;
using SkiaSharp;
using Xunit;

namespace Levain.EndToEnd;

public sealed class DemoTests(ITestOutputHelper output) : IDisposable
{
    private const double LossTolerance = 2e-5;              // kohya's own losses moved by less than 1e-7 with other kernels
    private const int Cell = 128, Gap = 4, Columns = 4, Rows = 8, Strength08 = 2;

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
        using var grid = SKBitmap.Decode(Path.Combine(place, "grid.png"));
        // Her hair: teal on one side, magenta on the other. The sea of the last two rows is teal by itself, the first girl's hair pink.
        output.WriteLine(string.Join("; ", Enumerable.Range(0, Rows).Select(row => $"row {row}: teal {Share(grid, row, 0, Teal):P1} to {Share(grid, row, Strength08, Teal):P1}, magenta {Share(grid, row, 0, Magenta):P1} to {Share(grid, row, Strength08, Magenta):P1}")));
        foreach (var row in new[] { 4, 5 }) Assert.InRange(Share(grid, row, Strength08, Teal) - Share(grid, row, 0, Teal), 0.05, 1);
        foreach (var row in new[] { 4, 5, 6, 7 }) Assert.InRange(Share(grid, row, Strength08, Magenta) - Share(grid, row, 0, Magenta), 0.012, 1);
        foreach (var row in new[] { 0, 1, 2, 3 }) Assert.InRange(Share(grid, row, Strength08, Teal) - Share(grid, row, 0, Teal), -1, 0.05);
        foreach (var row in new[] { 2, 3 }) Assert.InRange(Share(grid, row, Strength08, Magenta), 0, 0.005);
    }

    private static bool Teal(SKColor colour) => colour.Green > colour.Red + 70 && colour.Blue > colour.Red + 70 && colour.Green < 210;

    private static bool Magenta(SKColor colour) => colour.Red > colour.Green + 90 && colour.Blue > colour.Green + 35 && colour.Red > 150;

    /// <summary>Share of a picture's px of a colour.</summary>
    private static double Share(SKBitmap grid, int row, int column, Func<SKColor, bool> isColour)
    {
        var left = grid.Width - Columns * Cell - (Columns - 1) * Gap + column * (Cell + Gap);
        var top = grid.Height - Rows * Cell - (Rows - 1) * Gap + row * (Cell + Gap);
        var found = 0;
        for (var y = 0; y < Cell; y++)
            for (var x = 0; x < Cell; x++)
                if (isColour(grid.GetPixel(left + x, top + y))) found++;
        return (double)found / (Cell * Cell);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
