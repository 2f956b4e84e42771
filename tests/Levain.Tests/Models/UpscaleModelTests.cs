using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Formats;
using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class UpscaleModelTests : IDisposable
{
    private const int Features = 8, Growth = 4, Blocks = 2;

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void All_spellings_of_a_network_enlarge_alike()
    {
        using var scope = NewDisposeScope();
        var x = Synth.Input("picture", 1, 3, 6, 5);
        var expected = Enlarge("new", Names(doublings: 2), x);
        Assert.Equal([1, 3, 24, 20], expected.shape);
        Assert.Equal(0, (Enlarge("old", Renamed(2, Old), x) - expected).abs().max().item<float>());
        Assert.Equal(0, (Enlarge("realsr", Renamed(2, RealSr), x) - expected).abs().max().item<float>());
        Assert.Equal(0, (Enlarge("wrapped", Renamed(2, name => $"params_ema.module.{name}"), x) - expected).abs().max().item<float>());
    }

    [Fact]
    public void A_network_is_what_its_formula_says()
    {
        using var scope = NewDisposeScope();
        var x = Synth.Input("picture", 1, 3, 4, 4);
        Tensor Conv(string name, Tensor input) => nn.functional.conv2d(input, Weight($"{name}.weight", 2), Synth.Weight($"{name}.bias", Weight($"{name}.weight", 2).shape[0]), padding: [1, 1]);
        Tensor Dense(string at, Tensor input)
        {
            List<Tensor> seen = [input];
            for (var j = 1; j <= 4; j++) seen.Add(nn.functional.leaky_relu(Conv($"{at}.conv{j}", cat([.. seen], 1)), 0.2));
            return input + Conv($"{at}.conv5", cat([.. seen], 1)) * 0.2;
        }
        var first = Conv("conv_first", x);
        var trunk = first;
        for (var n = 0; n < Blocks; n++) trunk += Dense($"body.{n}.rdb3", Dense($"body.{n}.rdb2", Dense($"body.{n}.rdb1", trunk))) * 0.2;
        var y = first + Conv("conv_body", trunk);
        for (var k = 1; k <= 2; k++) y = nn.functional.leaky_relu(Conv($"conv_up{k}", y.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2);
        y = Conv("conv_last", nn.functional.leaky_relu(Conv("conv_hr", y), 0.2));
        Assert.True((Enlarge("formula", Names(2), x) - y).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void A_folded_network_doubles_pictures_of_odd_sides()
    {
        using var scope = NewDisposeScope();
        var names = Names(2).ToDictionary(pair => pair.Key, pair => pair.Key == "conv_first.weight" ? Synth.Weight(pair.Key, Features, 12, 3, 3) : pair.Value);
        Assert.Equal([1, 3, 14, 10], Enlarge("folded", names, Synth.Input("odd", 1, 3, 7, 5)).shape);
    }

    [Fact]
    public void The_compact_network_adds_to_the_nearest_enlargement()
    {
        using var scope = NewDisposeScope();
        var weights = new Dictionary<string, Tensor>();
        for (var (i, inputs) = (0, 3); i <= 6; i += 2, inputs = Features)
        {
            var outputs = i == 6 ? 12 : Features;
            (weights[$"body.{i}.weight"], weights[$"body.{i}.bias"]) = (zeros(outputs, inputs, 3, 3), zeros(outputs));
            if (i < 6) weights[$"body.{i + 1}.weight"] = ones(Features) * 0.25;
        }
        var x = Synth.Input("compact", 1, 3, 4, 5);
        Assert.Equal(0, (Enlarge("compact", weights, x) - x.repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().max().item<float>());
    }

    [Fact]
    public void Pictures_are_enlarged_in_tiles_without_seams()
    {
        var weights = Names(1);
        foreach (var name in weights.Keys.ToList()) weights[name] = weights[name] * 0;
        weights["conv_last.bias"] = tensor(new[] { 0.2f, 0.4f, 0.6f });
        using var model = UpscaleModel.Open(Write("even", weights), Compute.Cpu);
        var picture = new Picture(new(200, 72), new byte[200 * 72 * 3]);
        var larger = new PictureEnlarger(model).Enlarge(picture, new(404, 144));
        Assert.Equal(new PixelSize(400, 144), larger.Size);
        Assert.All(Enumerable.Range(0, larger.Rgb.Length), i => Assert.Equal(new byte[] { 153, 102, 51 }[i % 3], larger.Rgb[i]));      // blue first in the network
    }

    [Fact]
    public void Another_file_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var path = Write("other", new() { ["some.weight"] = ones(3) });
        Assert.Contains("is no upscaler of the ESRGAN family", Assert.Throws<CheckpointException>(() => UpscaleModel.Open(path, Compute.Cpu)).Message);
    }

    public void Dispose() => folder.Dispose();

    private Tensor Enlarge(string name, Dictionary<string, Tensor> weights, Tensor x)
    {
        using var model = UpscaleModel.Open(Write(name, weights), Compute.Cpu);
        return model.Enlarge(x);
    }

    private string Write(string name, Dictionary<string, Tensor> weights)
    {
        var path = Path.Combine(folder.Path, $"{name}.safetensors");
        Safetensors.Write(path, [.. weights], null);
        return path;
    }

    private static Dictionary<string, Tensor> Renamed(int doublings, Func<string, string> rename) => Names(doublings).ToDictionary(pair => rename(pair.Key), pair => pair.Value);

    private static Dictionary<string, Tensor> Names(int doublings)
    {
        List<string> layers = ["conv_first", .. Enumerable.Range(0, Blocks).SelectMany(n => Enumerable.Range(1, 3).SelectMany(k => Enumerable.Range(1, 5).Select(j => $"body.{n}.rdb{k}.conv{j}"))),
            "conv_body", .. Enumerable.Range(1, doublings).Select(k => $"conv_up{k}"), "conv_hr", "conv_last"];
        var weights = new Dictionary<string, Tensor>();
        foreach (var layer in layers)
        {
            weights[$"{layer}.weight"] = Weight($"{layer}.weight", doublings);
            weights[$"{layer}.bias"] = Synth.Weight($"{layer}.bias", weights[$"{layer}.weight"].shape[0]);
        }
        return weights;
    }

    private static Tensor Weight(string name, int doublings)
    {
        var inner = Regex.Match(name, @"conv(\d)\.weight$");
        var (inputs, outputs) = name switch
        {
            "conv_first.weight" => (3, Features),
            "conv_last.weight" => (Features, 3),
            _ when name.StartsWith("body", StringComparison.Ordinal) => (Features + Growth * (int.Parse(inner.Groups[1].Value) - 1), inner.Groups[1].Value == "5" ? Features : Growth),
            _ => (Features, Features),
        };
        return Synth.Weight(name, outputs, inputs, 3, 3);
    }

    private static string RealSr(string name) => Regex.Replace(name.Replace("conv_body", "trunk_conv").Replace("conv_hr", "HRconv").Replace("conv_up", "upconv").Replace("body.", "RRDB_trunk."), @"\.rdb", ".RDB");

    private static string Old(string name) => Regex.Replace(name
        .Replace("conv_first", "model.0").Replace("conv_body", $"model.1.sub.{Blocks}").Replace("conv_up1", "model.3").Replace("conv_up2", "model.6").Replace("conv_hr", "model.8").Replace("conv_last", "model.10"),
        @"^body\.(\d)\.rdb(\d)\.conv(\d)", "model.1.sub.$1.RDB$2.conv$3.0");
}
