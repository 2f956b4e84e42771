using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

/// <summary>The standard test of a training's networks.</summary>
public sealed class TastingTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Mochi => Golden.Path("demo", "mochi-kohya.safetensors");

    private static Tasting Tasting => new(new() { Size = new(64, 64), Steps = 2, Sampler = "Euler", CfgScale = 5 }, [Mochi], "mochi") { Strengths = [0, 1], Prompts = ["{trigger}, 1girl, smile", "1boy"], Seeds = [1] };

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Prompts_have_the_word_or_not()
    {
        Assert.Equal(("mochi, 1girl, smile", "1girl, smile"), (Tasting.PromptOf("{trigger}, 1girl, smile", true), Tasting.PromptOf("{trigger}, 1girl, smile", false)));
        Assert.Equal(("mochi, 1boy", "1boy"), (Tasting.PromptOf("1boy", true), Tasting.PromptOf("1boy", false)));
        Assert.Equal(("1boy, mochi", "1boy"), (Tasting.PromptOf("1boy, {trigger}", true), Tasting.PromptOf("1boy, {trigger}", false)));
        Assert.Equal(7, Levain.Generation.Tasting.StandardPrompts("1boy").Count(prompt => prompt.StartsWith("{trigger}, 1boy")));
    }

    [Fact]
    public void Networks_are_compared_with_the_base_with_the_word_and_without()
    {
        using var bases = new BaseShelf(Compute.Cpu, Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors")), null, new());
        var kept = new GridFolder(Path.Combine(folder.Path, "pictures"), Path.Combine(folder.Path, "pictures.json"));
        var tasting = Tasting with { Training = [Flat(200, 40, 160), Stripes(upright: true)] };
        var result = tasting.Draw(bases, kept);
        Assert.Equal((12, 2), (result.Grid.Drawn, result.Figures.Count));
        Assert.Equal((0, 0), (result.Figures[0].Change, result.Figures[0].Leak));          // strength 0 is the base
        Assert.Equal((0, 0), (result.Figures[0].Likeness, result.Figures[0].LeakLikeness));
        Assert.True(result.Figures[1] is { Change: > 0.01, Leak: > 0.01, Likeness: not 0, LeakLikeness: not null });
        Assert.Equal(1, result.Best);
        Assert.StartsWith("mochi-kohya at 1: With its word ", result.Reason);
        var compared = new List<(int, int)>();
        Assert.Equal(0, tasting.Draw(bases, kept, compared: (done, all) => compared.Add((done, all))).Grid.Drawn);
        Assert.Equal(Enumerable.Range(1, 14).Select(done => (done, 14)), compared);       // 12 drawn, 2 of the training
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => tasting.Draw(bases, kept, compared: (_, _) => stop.Cancel(), cancel: stop.Token));

        var page = TastePage.Of(tasting with { Trigger = "<b>mochi</b>" }, result, (x, y, z) => $"pictures/{x}-{y}-{z}.png");
        Assert.Equal(12, page.Split("<img ").Length - 1);
        Assert.Contains("src=\"pictures/2-1-1.png\"", page);
        Assert.Contains("Tasting of &lt;b&gt;mochi&lt;/b&gt;", page);
        Assert.DoesNotContain("<b>mochi", page);
    }

    [Fact]
    public void The_suggestion_is_like_the_training_pictures_and_does_not_leak()
    {
        TasteFigure[] figures = [new("early", 1, 0.05, 0.01, 0.01, 0), new("late", 1, 0.20, 0.20, 0.09, 0.08), new("middle", 1, 0.18, 0.02, 0.08, 0.01)];
        Assert.Equal(2, Levain.Generation.Tasting.Suggest(figures).Best);
        Assert.Equal(2, Levain.Generation.Tasting.Suggest([.. figures.Select(figure => figure with { Likeness = null })]).Best);
        Assert.Equal(-1, Levain.Generation.Tasting.Suggest([figures[0] with { Change = 0 }]).Best);
    }

    [Fact]
    public void Likeness_tells_strengths_apart()
    {
        // tests/golden/demo: rows without the network, at 0.5, 0.8 and 1; the last four columns name her, and in the first two she shows unasked at 1
        var grid = Picture.Open(Golden.Path("demo", "mochi-kohya-grid.png"));
        Picture At(int column, int row) => grid.Cropped(new(column * 128, row * 128, (column + 1) * 128, (row + 1) * 128));
        using var scope = NewDisposeScope();
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var features = new PictureFeatures(model, new(128, 128));
        List<Tensor> Row(int row, int from) => [.. Enumerable.Range(from, 4).Select(column => features.Of(At(column, row)))];
        var training = Directory.GetFiles(Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "mochi")), "*.png").Order(StringComparer.Ordinal).Where((_, i) => i % 2 == 0).Select(path => features.Of(Picture.Open(path))).ToList();
        using var likeness = new Likeness(training);
        var named = likeness.Of(Row(0, 4), [Row(0, 4), Row(1, 4), Row(2, 4), Row(3, 4), training]);
        Assert.Equal(0, named[0]);
        Assert.True(named[1] > 0.1 && named[2] > named[1] + 0.08 && named[3] > named[2] + 0.02 && named[4] > 1, string.Join(", ", named));
        var unnamed = likeness.Of(Row(0, 0), [Row(1, 0), Row(2, 0), Row(3, 0)]);
        Assert.True(unnamed[2] > unnamed[1] + 0.02 && unnamed.Max() < named[1], string.Join(", ", unnamed));
    }

    private static string Base => Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    private static Picture Flat(byte r, byte g, byte b) => new(new(16, 16), [.. Enumerable.Repeat<byte[]>([r, g, b], 256).SelectMany(pixel => pixel)]);

    private static Picture Stripes(bool upright, int side = 128) => new(new(side, side),
        [.. Enumerable.Range(0, side * side).SelectMany(at => Enumerable.Repeat((byte)((upright ? at % side : at / side) * 128 / side % 32 < 16 ? 20 : 220), 3))]);
}
