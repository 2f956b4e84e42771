using System.IO.Compression;
using System.Text;
using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Networks;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>Hypernetworks in the webui's files, written here as torch.save writes them.</summary>
public sealed class HypernetworkTests
{
    [Theory]
    [InlineData("relu", false, false)]
    [InlineData("linear", true, true)]
    [InlineData("swish", true, false)]
    public void Tokens_become_themselves_plus_what_the_small_network_makes_of_them(string activation, bool norms, bool dropout)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var weights = new Dictionary<string, Tensor>();
        var path = folder.Write("hn.pt", File(activation, norms, dropout, [1, 2, 1], [8], weights));
        using var network = Hypernetwork.Read(path);
        Assert.Equal("made here", network.Name);
        Assert.Equal([8L], network.Widths);
        var x = Synth.Input("hypernetwork.x", 2, 3, 8);
        foreach (var (values, place) in new[] { (false, 0), (true, 1) })
        {
            var h = x;
            var at = 0;
            for (var i = 0; i < 2; i++)
            {
                h = h.matmul(weights[$"{place}.{at}.weight"].t()) + weights[$"{place}.{at}.bias"];
                at++;
                if (i == 0 && activation != "linear")
                {
                    h = activation == "relu" ? h.clamp_min(0) : h * (h + 3).clamp(0, 6) / 6;
                    at++;
                }
                if (norms)
                {
                    h = (h - h.mean([-1], true)) / (h.var(-1, unbiased: false, keepdim: true) + 1e-5).sqrt() * weights[$"{place}.{at}.weight"] + weights[$"{place}.{at}.bias"];
                    at++;
                }
                if (dropout && i == 0) at++;
            }
            Assert.InRange((network.Apply(x, values, 0.7) - (x + h * 0.7)).abs().max().item<float>(), 0, 1e-5);
        }
        var other = Synth.Input("hypernetwork.other", 1, 2, 6);
        Assert.Same(other, network.Apply(other, values: false, 1));
    }

    [Fact]
    public void A_tag_lets_a_hypernetwork_act_on_keys_and_values_while_it_stands_in_the_prompt()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        folder.Write("bend.pt", File("relu", false, false, [1, 1, 1], [64, 96], []));
        folder.Write("wide.pt", File("relu", false, false, [1, 1, 1], [1024], []));
        using var model = StableDiffusion.Open(Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors")), Compute.Cpu);
        using var pipeline = new GenerationPipeline(model, null, new() { Hypernetworks = [folder.Path] });
        var request = new GenerationRequest { Prompt = "1girl", Size = new(64, 64), Steps = 2, Sampler = "Euler", Seed = 3 };
        var plain = pipeline.DrawLatent(request);
        var bent = pipeline.DrawLatent(request with { Prompt = "1girl<hypernet:bend:0.5>" });
        Assert.True(Off(plain, bent) > 1e-3);
        Assert.Equal(0, Off(plain, pipeline.DrawLatent(request)));
        Assert.Equal(0, Off(plain, pipeline.DrawLatent(request with { Prompt = "1girl<hypernet:bend:0>" })));
        Assert.Equal(0, Off(pipeline.DrawLatent(request with { Prompt = "1girl<hypernet:bend>" }), pipeline.DrawLatent(request with { Prompt = "1girl<hypernet:bend:1>" })));
        Assert.Contains(pipeline.Draw(request with { Prompt = "1girl<hypernet:wide:1>" }).Notes, note => note.Contains("for tokens of width 1024"));
        Assert.Contains("Did you mean 'bend'?", Assert.Throws<SettingsException>(() => pipeline.Draw(request with { Prompt = "<hypernet:bent:1>" })).Message);
    }

    [Fact]
    public void Files_that_are_none_or_do_not_fit_themselves_are_refused_in_words()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var path = folder.Write("hn.pt", File("glu", false, false, [1, 2, 1], [8], []));
        Assert.Contains("'activation_func' is 'glu', which this version does not know", Assert.Throws<CheckpointException>(() => Hypernetwork.Read(path)).Message);
        folder.Write("hn.pt", File("relu", false, false, [1, 2, 1], [8], [], announced: [1, 3, 1]));
        Assert.Contains("is [16, 8] where its layer_structure asks for [24, 8]", Assert.Throws<CheckpointException>(() => Hypernetwork.Read(path)).Message);
        Assert.Contains("it is no hypernetwork", Assert.Throws<CheckpointException>(() => Hypernetwork.Read(Golden.Path("demo", "mochi-kohya.safetensors"))).Message);
    }

    private static double Off(Tensor a, Tensor b) => (a - b).abs().max().item<float>();

    /// <summary>A zip of torch.save: integer keys by width, each a tuple of two state dicts, and the settings beside them.</summary>
    private static byte[] File(string activation, bool norms, bool dropout, int[] structure, int[] widths, Dictionary<string, Tensor> weights, int[]? announced = null)
    {
        var (pickle, storages) = (new Pickle(), new List<byte[]>());
        pickle.Dict(
        [
            .. widths.Select(width => ((object)width, (Action)(() => pickle.Tuple([.. Enumerable.Range(0, 2).Select(place => (Action)(() => Part(width, place)))])))),
            ("step", () => pickle.Int(5)), ("name", () => pickle.Text("made here")),
            ("layer_structure", () => pickle.List(announced ?? structure)), ("activation_func", () => pickle.Text(activation)),
            ("is_layer_norm", () => pickle.Bool(norms)), ("activate_output", () => pickle.Bool(false)), ("optional_info", pickle.None),
            ("dropout_structure", () => pickle.List([0, dropout ? 1 : 0, 0])),
        ]);
        using var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create))
        {
            Entry("hn/data.pkl", pickle.ToArray());
            foreach (var (i, storage) in storages.Index()) Entry($"hn/data/{i}", storage);

            void Entry(string name, byte[] content)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
                entry.Write(content);
            }
        }
        return bytes.ToArray();

        void Part(int width, int place)
        {
            var (tensors, at) = (new List<(string, Tensor)>(), 0);
            for (var i = 0; i + 1 < structure.Length; i++)
            {
                Layer(width * structure[i + 1], width * structure[i]);
                if (i + 2 < structure.Length && activation != "linear") at++;
                if (norms) Layer(width * structure[i + 1]);
                if (dropout && i == 0) at++;
            }
            pickle.Dict([.. tensors.Select(tensor => ((object)tensor.Item1, (Action)(() => Add(tensor.Item2))))]);

            void Layer(params long[] shape)
            {
                foreach (var (name, value) in new[] { ("weight", Synth.Input($"hn.{width}.{place}.{at}.w", shape) * 0.3), ("bias", Synth.Input($"hn.{width}.{place}.{at}.b", shape[0]) * 0.1) })
                {
                    weights[$"{place}.{at}.{name}"] = value;
                    tensors.Add(($"linear.{at}.{name}", value));
                }
                at++;
            }
        }

        void Add(Tensor value)
        {
            pickle.Tensor(storages.Count, value.shape);
            storages.Add(value.bytes.ToArray());
        }
    }

    /// <summary>As much of pickle protocol 2 as such a file needs.</summary>
    private sealed class Pickle
    {
        private readonly List<byte> code = [0x80, 2];

        public void None() => code.Add((byte)'N');

        public void Bool(bool value) => code.Add(value ? (byte)0x88 : (byte)0x89);

        public void Int(long value) => code.AddRange([(byte)'J', .. BitConverter.GetBytes((int)value)]);

        public void Text(string value) => code.AddRange([(byte)'X', .. BitConverter.GetBytes(Encoding.UTF8.GetByteCount(value)), .. Encoding.UTF8.GetBytes(value)]);

        public void List(IEnumerable<int> items)
        {
            code.AddRange("]("u8);
            foreach (var item in items) Int(item);
            code.Add((byte)'e');
        }

        public void Tuple(IReadOnlyList<Action> items)
        {
            code.Add((byte)'(');
            foreach (var item in items) item();
            code.Add((byte)'t');
        }

        public void Dict(IReadOnlyList<(object Key, Action Value)> items)
        {
            code.AddRange("}("u8);
            foreach (var (key, value) in items)
            {
                if (key is int number) Int(number);
                else Text((string)key);
                value();
            }
            code.Add((byte)'u');
        }

        public void Tensor(int storage, long[] shape)
        {
            Global("torch._utils", "_rebuild_tensor_v2");
            Tuple([() => Storage(storage, shape.Aggregate(1L, (a, b) => a * b)), () => Int(0), () => Sizes(shape), () => Sizes([.. shape.Select((_, i) => shape[(i + 1)..].Aggregate(1L, (a, b) => a * b))]), () => Bool(false), () => { Global("collections", "OrderedDict"); code.AddRange(")R"u8); }]);
            code.Add((byte)'R');
        }

        public byte[] ToArray() => [.. code, (byte)'.'];

        private void Storage(int key, long count)
        {
            Tuple([() => Text("storage"), () => Global("torch", "FloatStorage"), () => Text($"{key}"), () => Text("cpu"), () => Int(count)]);
            code.Add((byte)'Q');
        }

        private void Sizes(long[] sides) => Tuple([.. sides.Select(side => (Action)(() => Int(side)))]);

        private void Global(string module, string name) => code.AddRange([(byte)'c', .. Encoding.ASCII.GetBytes($"{module}\n{name}\n")]);
    }
}
