using System.Text.Json;
using Levain.Models;
using Levain.Networks;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>A layer outside any model: enough to hang adapters on.</summary>
internal sealed class FakeLayer(string key, LayerShape shape, Func<Tensor> weight, Tensor? bias = null) : IAdaptableLayer
{
    private Tensor? made;

    public string Key => key;
    public LayerShape Shape => shape;
    public Tensor Weight => made ??= weight();
    public ScalarType Dtype => Weight.dtype;
    public Tensor? Bias => bias;
    public ILayerPatch? Patch { get; set; }

    public IReadOnlyList<string> Owners { get; } =
        key.Contains(".self_attn.") ? ["CLIPEncoderLayer", "CLIPAttention"]
        : key.Contains(".mlp.") ? ["CLIPEncoderLayer", "CLIPMLP"]
        : key.Contains("attentions.") ? ["Transformer2DModel"]
        : key.Contains("resnets.") ? ["ResnetBlock2D"]
        : key.Contains("downsamplers.") ? ["Downsample2D"]
        : key.Contains("upsamplers.") ? ["Upsample2D"] : [];

    public Tensor Apply(Tensor x, Tensor w, Tensor? b) => shape.Kind switch
    {
        LayerKind.Linear => nn.functional.linear(x, w.to_type(x.dtype), b?.to_type(x.dtype)),
        LayerKind.Conv2d => nn.functional.conv2d(x, w.to_type(x.dtype), b?.to_type(x.dtype), [shape.Stride.H, shape.Stride.W], [shape.Padding.H, shape.Padding.W]),
        LayerKind.LayerNorm => nn.functional.layer_norm(x, [shape.Out], w, b, 1e-5),
        _ => nn.functional.group_norm(x, 4, w, b, 1e-5),
    };

    public Tensor InputGradient(Tensor gradient) => Apply(gradient, Weight.transpose(0, 1), null);

    public void Widen() { }

    public Tensor Call(Tensor x) => Patch is { } patch ? patch.Forward(this, x) : Apply(x, Weight, Bias);

    public static LayerShape ShapeOf(long[] weight, long stride = 1, long padding = 0) => weight.Length == 2
        ? new(LayerKind.Linear, weight[1], weight[0], (1, 1), (1, 1), (0, 0))
        : new(LayerKind.Conv2d, weight[1], weight[0], (weight[2], weight[3]), (stride, stride), (padding, padding));

    /// <summary>Layers by their names in kohya's files, weights by the single-file key's rule where asked for, else left empty.</summary>
    public static ModelLayers Model(IEnumerable<string> names, Func<string, long[]?>? shapes = null, bool synth = false)
    {
        var rows = Names.Value;
        var (text, unet) = (new List<IAdaptableLayer>(), new List<IAdaptableLayer>());
        foreach (var name in names)
        {
            var (key, single, full, stride, padding) = rows[name];
            var shape = shapes?.Invoke(single + ".weight") ?? full;
            var layer = new FakeLayer(key, ShapeOf(shape, stride, padding),
                () => synth ? Synth.Weight(single + ".weight", shape).DetachFromDisposeScope() : empty(shape).DetachFromDisposeScope());
            (name.StartsWith("lora_te_") ? text : unet).Add(layer);
        }
        return new(text, unet);
    }

    private static readonly Lazy<Dictionary<string, (string Key, string Single, long[] Shape, long Stride, long Padding)>> Names = new(() =>
    {
        var names = Golden.Json("lora-tools", "names_sd15.json");
        var columns = names.GetProperty("columns").EnumerateArray().Select((column, i) => (column.GetString()!, i)).ToDictionary(pair => pair.Item1, pair => pair.i);
        return names.GetProperty("rows").EnumerateArray().ToDictionary(row => row[columns["kohya"]].GetString()!, row =>
        {
            var shape = row[columns["shape"]].EnumerateArray().Select(side => side.GetInt64()).ToArray();
            var key = (row[columns["diffusers"]].GetString() ?? row[columns["hf"]].GetString())!;
            return (key, row[columns["ldm"]].GetString()!, shape, key.Contains("downsamplers") ? 2L : 1L, shape.Length == 4 && shape[2] == 3 ? 1L : 0L);
        });
    });

    public static long[] Longs(JsonElement list) => [.. list.EnumerateArray().Select(side => side.GetInt64())];
}
