using System.Text.Json;
using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;

namespace Levain.Tests.Generation;

/// <summary>Axes, values and grids.</summary>
public sealed class GridTests(ITestOutputHelper output) : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Base => Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    private static string Mochi => Golden.Path("demo", "mochi-kohya.safetensors");

    private static GenerationRequest Request => new() { Prompt = "1girl, red", Size = new(64, 64), Steps = 2, Sampler = "Euler", Seed = 5 };

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Values_and_legends_are_those_of_the_webui()
    {
        var (exact, refused) = (0, 0);
        foreach (var row in Golden.Json("prompts", "xyz_values.json").GetProperty("cases").EnumerateArray())
        {
            var (type, text, expected) = (row.GetProperty("type").GetString()!, row.GetProperty("text").GetString()!, row.GetProperty("values"));
            var axis = type switch { "int" => GridAxes.Steps, "float" => GridAxes.CfgScale, "perm" => GridAxes.PromptOrder, _ => GridAxes.PromptSearchReplace };
            if (expected.ValueKind == JsonValueKind.Object)
            {
                Assert.Throws<SettingsException>(() => AxisValues.Read(axis.Kind, text));
                refused++;
                continue;
            }
            var values = AxisValues.Read(axis.Kind, text);
            Assert.Equal(expected.EnumerateArray().Select(value => Plain(value, type)), values.Select(value => value is IReadOnlyList<string> order ? string.Join('|', order) : value));
            Assert.Equal(row.GetProperty("labels").EnumerateArray().Select(label => label.GetString()), values.Select(axis.LegendOf));
            exact++;
        }
        output.WriteLine($"{exact} exact, {refused} refused");

        static object Plain(JsonElement value, string type) => type switch
        {
            "int" => value.GetInt64(),
            "float" => value.GetDouble(),
            "perm" => string.Join('|', value.EnumerateArray().Select(word => word.GetString())),
            _ => value.GetString()!,
        };
    }

    [Fact]
    public void Texts_are_replaced_and_reordered_as_the_webui_does()
    {
        var golden = Golden.Json("prompts", "xyz_apply.json");
        foreach (var row in golden.GetProperty("search_replace").EnumerateArray())
        {
            var request = new GenerationRequest { Prompt = row.GetProperty("prompt").GetString()!, NegativePrompt = row.GetProperty("negative").GetString()! };
            var values = row.GetProperty("values").EnumerateArray().Select(value => value.GetString()!).ToList();
            foreach (var (value, result) in values.Zip(row.GetProperty("results").EnumerateArray()))
            {
                if (result.ValueKind == JsonValueKind.Object)
                {
                    Assert.Contains(values[0], Assert.Throws<SettingsException>(() => GridAxes.Replaced(request, values[0], value)).Message);
                    continue;
                }
                var changed = GridAxes.Replaced(request, values[0], value);
                Assert.Equal((result[0].GetString(), result[1].GetString()), (changed.Prompt, changed.NegativePrompt));
            }
        }
        foreach (var row in golden.GetProperty("order").EnumerateArray())
            foreach (var result in row.GetProperty("results").EnumerateArray())
                Assert.Equal(result[1].GetString(), GridAxes.Reordered(row.GetProperty("prompt").GetString()!, [.. result[0].EnumerateArray().Select(word => word.GetString()!)]));
        foreach (var row in golden.GetProperty("csv_write").EnumerateArray())
            Assert.Equal(row[1].GetString(), AxisValues.Write([.. row[0].EnumerateArray().Select(word => word.GetString()!)]));
    }

    [Fact]
    public void Axes_have_the_webui_s_names_kinds_and_costs()
    {
        var missing = new List<string>();
        foreach (var row in Golden.Json("prompts", "xyz_apply.json").GetProperty("axes").EnumerateArray())
        {
            var name = row.GetProperty("label").GetString()!;
            if (GridAxes.All.FirstOrDefault(axis => axis.Name == name) is not { } axis)
            {
                // left out for a reason, which is told
                Assert.Equal($"axis: '{name}' is an axis of the webui that is left out here. {RefusedAxes.All[name]}", Assert.Throws<SettingsException>(() => GridAxis.Named(name.ToLowerInvariant())).Message);
                missing.Add(name);
                continue;
            }
            Assert.Equal(row.GetProperty("type").GetString() switch { "int" => AxisKind.Whole, "float" => AxisKind.Number, "str_permutations" => AxisKind.Order, _ => AxisKind.Text }, axis.Kind);
            Assert.Equal(row.GetProperty("cost").GetDouble(), axis.Cost);
        }
        output.WriteLine($"left out: {string.Join(", ", missing)}");
        Assert.Same(GridAxes.PromptSearchReplace, GridAxis.Named("prompt-s/r"));
        Assert.Contains("Did you mean 'Seed'?", Assert.Throws<SettingsException>(() => GridLineUp.Parse("Sed=1-4")).Message);
    }

    [Fact]
    public void Pictures_without_axes_are_arranged_as_the_webui_does()
    {
        foreach (var row in Golden.Json("prompts", "grid_sizes.json").GetProperty("cases").EnumerateArray())
        {
            var images = row[0].GetInt32();
            Assert.Equal(new GridShape(row[3].GetInt32(), row[4].GetInt32()), GridShape.Of(images, row[1].GetInt32(), Math.Min(images, 4), row[2].GetBoolean()));
        }
    }

    [Fact]
    public void Every_picture_is_the_one_its_values_ask_for()
    {
        File.Copy(Mochi, Path.Combine(folder.Path, "mochi.safetensors"));
        var grid = new XyzGrid(Request, GridLineUp.Parse("Prompt S/R=red,blue<lora:mochi:1>"), GridLineUp.Parse("Seed=5,6"), GridLineUp.Parse("CFG Scale=3,7")) { VarySeedsX = true };
        using var bases = Bases();
        var entries = new List<GridEntry>();
        var result = grid.Draw(bases, done: (_, _, entry) => entries.Add(entry));
        Assert.Equal((8, 8, 2, 1), (grid.Count, result.Drawn, result.Parts.Count, bases.Opened));
        // with the network and without are drawn apart, whatever their places
        Assert.Equal([0, 0, 0, 0, 1, 1, 1, 1], entries.Select(entry => entry.X));
        Assert.Contains("Script: X/Y/Z plot, X Type: Prompt S/R, X Values: \"red,blue<lora:mochi:1>\", Y Type: Seed, Y Values: \"5,6\", Z Type: CFG Scale, Z Values: \"3.0,7.0\"", result.Infotext);

        var one = bases.For(new(Request)).Draw(Request with { Prompt = "1girl, blue<lora:mochi:1>", Seed = 7, CfgScale = 7 });
        Assert.Contains("Seed: 7", entries.Single(entry => entry is (1, 1, 1, _, _, _, _, _)).Infotext);
        Assert.Equal(one.Picture.Rgb, Corner(result.Parts[1], one.Picture.Size));
        Assert.True(result.Picture.Size.Width > 2 * result.Parts[0].Size.Width);
    }

    [Fact]
    public void A_grid_that_was_stopped_goes_on_where_it_was()
    {
        var grid = new XyzGrid(Request, GridLineUp.Parse("Seed=1-3"), GridLineUp.Parse("Steps=1,2"), GridLineUp.None);
        var (cells, json) = (Path.Combine(folder.Path, "grid-cells"), Path.Combine(folder.Path, "grid.json"));
        using var bases = Bases();
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => grid.Draw(bases, new(cells, json), (done, _, _) =>
        {
            if (done == 4) stop.Cancel();
        }, stop.Token));
        Assert.Equal(4, Directory.GetFiles(cells).Length);

        var rest = grid.Draw(bases, new(cells, json));
        Assert.Equal(2, rest.Drawn);
        Assert.Equal(grid.Draw(bases).Picture.Rgb, rest.Picture.Rgb);
        Assert.Equal(0, grid.Draw(bases, new(cells, json)).Drawn);

        File.Delete(Directory.GetFiles(cells)[0]);
        Assert.Equal(1, grid.Draw(bases, new(cells, json)).Drawn);
        Assert.Equal(6, (grid with { Request = Request with { CfgScale = 3 } }).Draw(bases, new(cells, json)).Drawn);
        using var told = JsonDocument.Parse(File.ReadAllBytes(json));
        Assert.Equal(["Seed: 1", "Seed: 2", "Seed: 3"], told.RootElement.GetProperty("x").GetProperty("legends").EnumerateArray().Select(legend => legend.GetString()));
        Assert.Equal(6, told.RootElement.GetProperty("cells").GetArrayLength());
    }

    [Fact]
    public void Axes_of_a_second_pass_and_of_a_first_picture_need_one()
    {
        var begun = Request with { Img2Img = new(Flat(100)) };
        var twice = Request with { Hires = new() { Scale = 2 } };
        Assert.Equal((0.3, 0.4), (At("Denoising=0.3", begun).Img2Img!.Denoise, At("Denoising=0.4", twice).Hires!.Denoise));
        Assert.Equal((7, "Euler a"), (At("Hires steps=7", twice).Hires!.Steps, At("Hires sampler=Euler a", twice).Hires!.Sampler));
        Assert.Equal(0.5, At("Extra noise=0.5", begun).Img2Img!.ExtraNoise);
        Assert.Contains("Hires steps: changes nothing without a second pass", Assert.Throws<SettingsException>(() => At("Hires steps=7", begun)).Message);
        Assert.Contains("changes nothing without a picture to begin with", Assert.Throws<SettingsException>(() => At("Initial noise multiplier=2", twice)).Message);

        static GenerationRequest At(string axis, GenerationRequest request)
        {
            var line = GridLineUp.Parse(axis);
            return line.Axis.Apply(new(request), line.Values[0], line.Values).Request;
        }
    }

    [Fact]
    public void Checkpoints_are_read_once_each_wherever_they_stand()
    {
        var other = Path.Combine(folder.Path, "other.safetensors");
        File.Copy(Base, other);
        var grid = new XyzGrid(Request with { Steps = 1 }, GridLineUp.Parse($"Checkpoint name={Base},{other}"), GridLineUp.Parse("Seed=1,2"), GridLineUp.None);
        using var bases = Bases();
        var result = grid.Draw(bases);
        Assert.Equal((4, 2), (result.Drawn, bases.Opened));
        Assert.Equal(["tiny-base.safetensors", "other.safetensors"], grid.X.Legends);
    }

    [Fact]
    public void A_grid_is_refused_before_anything_is_drawn()
    {
        using var bases = Bases();
        Refused("Prompt S/R: is 'green'", "Prompt S/R=green,blue");
        Refused("size: is 65x64, and sides are multiples of 8", "Size=64x64,65x64");
        Refused("<lora:nobody:1> names 'nobody'", "Prompt S/R=red,<lora:nobody:1>");
        Refused("stands for more than 10000 values", "Seed=1-99999");
        Refused("has 12 pictures of 201 megapixels together", "Seed=1-12", new(4096, 4096));
        Assert.Equal(0, bases.Opened);

        void Refused(string words, string axis, PixelSize? size = null) =>
            Assert.Contains(words, Assert.Throws<SettingsException>(() => new XyzGrid(Request with { Size = size ?? Request.Size }, GridLineUp.Parse(axis), GridLineUp.None, GridLineUp.None).Draw(bases)).Message);
    }

    [Fact]
    public void The_analysis_of_blocks_tells_how_far_each_moves_the_picture()
    {
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        var analysis = new BlockAnalysis(Request with { Prompt = "mochi, 1girl" }, new(Mochi, 1)) { Seeds = [1, 2], One = 0, Threshold = 5, Blocks = ["BASE", "OUT05", "IN00"] };
        var pictures = 0;
        var (blocks, grid) = analysis.Draw(pipeline, (_, count) => Assert.Equal(2 * 3, Math.Max(count, ++pictures)));
        Assert.Equal(["BASE", "OUT05", "IN00"], blocks.Select(block => block.Block));
        Assert.Equal(24, blocks[0].Layers);
        Assert.All(blocks.Take(2), block => Assert.True(block.Change > 0 && block.Norm > 0 && block.Changes.Count == 2));
        Assert.Equal((0, 0.0, 0.0), (blocks[2].Layers, blocks[2].Norm, blocks[2].Change));       // the network has nothing there, so nothing is drawn
        Assert.True(grid.Size.Width >= 6 * 64 && grid.Size.Height >= 3 * 64);

        var (share, difference) = PictureDifference.Of(Flat(10), Flat(40), 29, white: true);
        Assert.Equal((1.0, 225), (share, difference.Rgb[0]));
        Assert.Equal(0, PictureDifference.Of(Flat(10), Flat(40), 30).Share);
    }

    [Fact]
    public void Blocks_are_named_in_lists_and_ranges()
    {
        var problems = new Problems();
        Assert.Equal(17, BlockAnalysis.Named("17ALL", problems).Count);
        Assert.Equal(["BASE", "IN11", "M00", "OUT00"], BlockAnalysis.Named("BASE, IN11-OUT00", problems));
        Assert.Empty(problems.All);
        BlockAnalysis.Named("IN99", problems);
        Assert.Contains("names 'IN99'", Assert.Single(problems.All).What);
    }

    private BaseShelf Bases() => new(Compute.Cpu, Base, null, new() { Networks = [folder.Path] });

    private static Picture Flat(byte value) => new(new(2, 2), [.. Enumerable.Repeat(value, 12)]);

    // The lower right picture of a grid.
    private static byte[] Corner(Picture grid, PixelSize size) =>
        [.. Enumerable.Range(grid.Size.Height - size.Height, size.Height).SelectMany(y => grid.Rgb.AsSpan((y * grid.Size.Width + grid.Size.Width - size.Width) * 3, size.Width * 3).ToArray())];
}
