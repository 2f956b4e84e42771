using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;

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
        Assert.True(result.Figures[1] is { Change: > 0.01, Leak: > 0.01, Likeness: > -1 and < 1 and not 0, LeakLikeness: not null });
        Assert.Equal(1, result.Best);
        Assert.StartsWith("mochi-kohya at 1: With its word ", result.Reason);
        Assert.Equal(0, tasting.Draw(bases, kept).Grid.Drawn);

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
    public void Likeness_finds_parts_of_pictures_again_wherever_they_stand()
    {
        using var pink = Likeness.Of([Flat(200, 40, 160)]);
        using var green = Likeness.Of([Flat(10, 200, 10)]);
        using var upright = Likeness.Of([Stripes(upright: true)]);
        using var level = Likeness.Of([Stripes(upright: false)]);
        using var larger = Likeness.Of([Stripes(upright: true, side: 256), Flat(1, 2, 3)]);
        Assert.Equal(1, pink.In(pink), 3);
        Assert.Equal(1 - Math.Sqrt((190 * 190 + 160 * 160 + 150 * 150) / 3.0) / 255, pink.In(green), 3);
        Assert.True(upright.In(level) < 0.8);
        Assert.True(upright.In(larger) > 0.99);
        Assert.Equal(0.25, PictureDifference.Mean(Flat(0, 0, 0), Flat(255, 0, 0)) * 3 / 4, 12);
    }

    private static Picture Flat(byte r, byte g, byte b) => new(new(16, 16), [.. Enumerable.Repeat<byte[]>([r, g, b], 256).SelectMany(pixel => pixel)]);

    private static Picture Stripes(bool upright, int side = 128) => new(new(side, side),
        [.. Enumerable.Range(0, side * side).SelectMany(at => Enumerable.Repeat((byte)((upright ? at % side : at / side) * 128 / side % 32 < 16 ? 20 : 220), 3))]);
}
