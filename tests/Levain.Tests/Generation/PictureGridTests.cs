using System.Text;
using Levain.Generation;
using SkiaSharp;
using Xunit;

namespace Levain.Tests.Generation;

public sealed class PictureGridTests
{
    [Fact]
    public void Pictures_stand_in_their_cells_under_and_beside_their_legends()
    {
        Picture[][] rows = [[Flat(200, 0, 0), Flat(0, 200, 0)], [Flat(0, 0, 200), Flat(200, 200, 0, side: 32)]];
        var grid = PictureGrid.Arrange(rows, ["without", "strength 0.8"], ["a prompt that is long enough to be broken into several lines\nseed 1", "another\nseed 2"]);
        Assert.Equal(168 + 64 + 4 + 64, grid.Size.Width);
        Assert.True(grid.Size.Height > 2 * 64);
        Assert.Equal((0, 200, 0), At(grid, grid.Size.Width - 32, grid.Size.Height - 64 - 4 - 32));
        Assert.Equal((255, 255, 255), At(grid, grid.Size.Width - 60, grid.Size.Height - 60));       // beside the small, centred one
        Assert.Equal((200, 200, 0), At(grid, grid.Size.Width - 32, grid.Size.Height - 32));
        Assert.Contains(Enumerable.Range(0, 160 * 64), i => At(grid, i % 160, grid.Size.Height - 64 + i / 160) != (255, 255, 255));      // letters
    }

    [Fact]
    public void A_word_that_is_wider_than_its_column_is_cut_into_lines()
    {
        var (narrow, wide) = (PictureGrid.Arrange([[Flat(9, 9, 9)]], ["lora"], []), PictureGrid.Arrange([[Flat(9, 9, 9)]], ["<lora:a-very-long-name-of-a-network:0.85>"], []));
        Assert.Equal(narrow.Size.Width, wide.Size.Width);
        Assert.True(wide.Size.Height > narrow.Size.Height + 3 * 12);
    }

    [Theory]
    [InlineData("1girl, solo\nSteps: 20")]
    [InlineData("桜, 1girl\nSteps: 20")]
    public void A_png_carries_its_text(string text)
    {
        using var stream = new MemoryStream();
        PngFile.Write(stream, Flat(1, 2, 3), text);
        var bytes = stream.ToArray();
        using var decoded = SKBitmap.Decode(bytes);
        Assert.Equal(new SKColor(1, 2, 3), decoded.GetPixel(5, 5));
        Assert.Contains(text, (text.All(char.IsAscii) ? Encoding.Latin1 : Encoding.UTF8).GetString(bytes));
    }

    [Fact]
    public void A_grid_asks_for_each_combination_with_networks_by_column()
    {
        var grid = new GenerationGrid(new(), GenerationGrid.Strengths("mochi.safetensors", [0.5, 1]), GenerationGrid.PromptsAndSeeds((string[])["a", "b"], [1, 2]));
        Assert.Equal(12, grid.Count);
        Assert.Equal(["without", "strength 0.5", "strength 1.0"], grid.Columns.Select(column => column.Legend));
        Assert.Empty(grid.At(0, 0).Networks);
        Assert.Equal(("b", 1, 0.5), (grid.At(1, 2).Prompt, grid.At(1, 2).Seed, grid.At(1, 2).Networks[0].Strength.UNet));
    }

    private static Picture Flat(byte r, byte g, byte b, int side = 64) => new(new(side, side), [.. Enumerable.Repeat<byte[]>([r, g, b], side * side).SelectMany(pixel => pixel)]);

    private static (int, int, int) At(Picture picture, int x, int y)
    {
        var at = (y * picture.Size.Width + x) * 3;
        return (picture.Rgb[at], picture.Rgb[at + 1], picture.Rgb[at + 2]);
    }
}
