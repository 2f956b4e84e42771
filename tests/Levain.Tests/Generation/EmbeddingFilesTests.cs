using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using Levain.Core;
using Levain.Formats;
using Levain.Generation;
using Levain.Models;
using Levain.Models.Clip;
using Levain.Tests.Data;
using NetVips;
using Xunit;
using static TorchSharp.torch;
using Image = NetVips.Image;

namespace Levain.Tests.Generation;

/// <summary>Embeddings of every container, written here and used through a prompt.</summary>
public sealed class EmbeddingFilesTests : IDisposable
{
    private const string Spelled = "1girl, (cat dog:1.2)", Word = "glorpcat";

    private readonly TemporaryFolder folder = new();
    private readonly StableDiffusion model = StableDiffusion.Open(Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors")), Compute.Cpu);

    public void Dispose()
    {
        model.Dispose();
        folder.Dispose();
    }

    [Theory]
    [InlineData("webui.pt")]
    [InlineData("kohya.pt")]
    [InlineData("diffusers.bin")]
    [InlineData("kohya.safetensors")]
    [InlineData("text.png")]
    [InlineData("hidden.png")]
    [InlineData("hidden.webp")]
    [InlineData("hidden.avif")]
    public void A_word_draws_what_its_vectors_mean(string kind)
    {
        using var scope = NewDisposeScope();
        var vectors = model.TextEncoder.Embed(tensor(ClipTokenizer.Instance.Encode("cat dog").Select(id => (long)id).ToArray()).unsqueeze(0))[0];
        Write(kind, vectors);
        using var pipeline = new GenerationPipeline(model, null, new() { Embeddings = [folder.Path] });
        var expected = pipeline.DrawLatent(Request(Spelled));
        Assert.Equal(0, (expected - pipeline.DrawLatent(Request(Spelled.Replace("cat dog", Word)))).abs().max().item<float>());
    }

    [Theory]
    [InlineData("cut.pt", "cut.pt: ")]
    [InlineData("empty.bin", "empty.bin: ")]
    [InlineData("several.safetensors", "several.safetensors: holds 2 tensors where an embedding has one ('a', 'b'")]
    [InlineData("square.safetensors", "'v' is [2, 4, 4]; an embedding is [vectors, width]")]
    [InlineData("damaged.png", "damaged.png: is a picture whose embedding cannot be read: ")]
    [InlineData("vectorless.png", "vectorless.png: is an embedding picture without vectors.")]
    public void A_broken_one_is_refused_in_words_once_its_name_is_used(string name, string words)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder.Path, name);
        switch (name)
        {
            case "cut.pt":
                PickleWriter.Write(path, (KeyValuePair<string, Tensor>[])[new("emb_params", zeros(2, model.TextEncoder.Spec.Width))]);
                File.WriteAllBytes(path, File.ReadAllBytes(path)[..200]);
                break;
            case "empty.bin":
                File.WriteAllBytes(path, [1, 2, 3]);
                break;
            case "several.safetensors":
                Safetensors.Write(path, [new("a", zeros(1, 4)), new("b", zeros(1, 4))], null);
                break;
            case "square.safetensors":
                Safetensors.Write(path, [new("v", zeros(2, 4, 4))], null);
                break;
            case "damaged.png":
                WithText(path, "no base64!");
                break;
            case "vectorless.png":
                WithText(path, Convert.ToBase64String("{\"name\": \"x\"}"u8));
                break;
        }
        using var pipeline = new GenerationPipeline(model, null, new() { Embeddings = [folder.Path] });
        pipeline.DrawLatent(Request("1girl"));
        Assert.Contains(words, Assert.Throws<CheckpointException>(() => pipeline.DrawLatent(Request(Path.GetFileNameWithoutExtension(name)))).Message);
    }

    [Theory]
    [InlineData("cat.png")]
    [InlineData("cat.webp")]
    [InlineData("cat.preview.png")]
    public void Pictures_beside_them_are_just_pictures(string name)
    {
        PictureFile.Write(Path.Combine(folder.Path, name), new(new(24, 16), [.. Enumerable.Range(0, 24 * 16 * 3).Select(i => (byte)(i * 7 % 251))]));
        using var words = new EmbeddingShelf(64, [folder.Path]);
        Assert.Empty(words.Names);
    }

    [Theory]
    [InlineData(false, 2)]
    [InlineData(true, 0)]
    public void Only_pictures_kept_without_loss_are_looked_into(bool lossy, int told)
    {
        const int Pictures = 120;
        using var image = Image.NewFromMemoryCopy(new byte[8 * 8 * 3], 8, 8, 3, Enums.BandFormat.Uchar);
        for (var i = 0; i < Pictures; i++) image.Webpsave(Path.Combine(folder.Path, $"{i}.webp"), lossless: !lossy);
        if (lossy) PictureFile.Write(Path.Combine(folder.Path, "0.webp"), new(new(8, 8), new byte[8 * 8 * 3]), "with a text beside it");
        var waits = new List<string>();
        using var words = new EmbeddingShelf(64, [folder.Path], new Tell(waits.Add));
        Assert.Empty(words.Names);
        Assert.Equal(told, waits.Count);
        if (told > 0) Assert.Equal($"Looking for embeddings in {folder.Path}: 50 of {Pictures} pictures …", waits[0]);
    }

    private sealed class Tell(Action<string> tell) : IProgress<string>
    {
        public void Report(string value) => tell(value);
    }

    private static GenerationRequest Request(string prompt) => new() { Prompt = prompt, Size = new(64, 64), Steps = 1, Sampler = "Euler", CfgScale = 5, Seed = 1 };

    private void Write(string kind, Tensor vectors)
    {
        var path = Path.Combine(folder.Path, Word + Path.GetExtension(kind));
        var json = $"{{\"string_to_token\": {{\"*\": 265}}, \"string_to_param\": {{\"*\": {{\"TORCHTENSOR\": [{string.Join(", ", Enumerable.Range(0, (int)vectors.shape[0]).Select(row => $"[{string.Join(", ", vectors[row].data<float>().Select(value => value.ToString("R", CultureInfo.InvariantCulture)))}]"))}]}}}}, \"name\": \"{Word}\", \"step\": 3}}";
        switch (kind)
        {
            case "webui.pt":
                PickleWriter.Write(path, (KeyValuePair<object, object?>[])
                [
                    new("string_to_token", (KeyValuePair<object, object?>[])[new("*", 265)]), new("string_to_param", (KeyValuePair<string, Tensor>[])[new("*", vectors)]), new("name", "another"), new("step", 3),
                ]);
                break;
            case "kohya.pt":
                PickleWriter.Write(path, (KeyValuePair<string, Tensor>[])[new("emb_params", vectors)]);
                break;
            case "diffusers.bin":
                PickleWriter.Write(path, (KeyValuePair<string, Tensor>[])[new("<any>", vectors)]);
                break;
            case "kohya.safetensors":
                Safetensors.Write(path, [new("emb_params", vectors)], null);
                break;
            case "text.png":
                WithText(path, Convert.ToBase64String(Encoding.UTF8.GetBytes(json)));
                break;
            default:
                var picture = Hidden(Encoding.UTF8.GetBytes(json));
                if (kind == "hidden.png")
                {
                    PngFile.Write(path, picture);
                    break;
                }
                using (var image = Image.NewFromMemory(picture.Rgb, picture.Size.Width, picture.Size.Height, 3, Enums.BandFormat.Uchar).Copy(interpretation: Enums.Interpretation.Srgb))
                    image.WriteToFile(path, new() { { "lossless", true } });
                break;
        }
    }

    /// <summary>A PNG with a text chunk.</summary>
    private static void WithText(string path, string text)
    {
        PngFile.Write(path, new(new(8, 8), new byte[192]));
        var plain = File.ReadAllBytes(path);
        byte[] data = [.. "sd-ti-embedding\0"u8, .. Encoding.Latin1.GetBytes(text)];
        var length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, data.Length);
        const int Head = 8 + 25;           // signature and header chunk
        File.WriteAllBytes(path, [.. plain[..Head], .. length, .. "tEXt"u8, .. data, 0, 0, 0, 0, .. plain[Head..]]);
    }

    /// <summary>A gray picture between two blocks of pixels that hold bytes, low halves left and high halves right, parted by black columns; tests/golden/files/README.md.</summary>
    private static Picture Hidden(byte[] bytes)
    {
        const int Rows = 64, Between = 40, Gap = 2;
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Optimal, leaveOpen: true)) zlib.Write(bytes);
        var block = (int)(packed.Length + Rows * 3 - 1) / (Rows * 3);
        var padded = new byte[block * Rows * 3];
        packed.ToArray().CopyTo(padded, 0);
        var width = 2 * (block + Gap) + Between;
        var rgb = new byte[width * Rows * 3];
        var (at, noise) = (0, 0u);
        for (var y = 0; y < Rows; y++)
        {
            for (var x = block + Gap; x < block + Gap + Between; x++) rgb.AsSpan((y * width + x) * 3, 3).Fill(0x8b);
            for (var x = 0; x < block; x++)
            {
                for (var c = 0; c < 3; c++, at++)
                {
                    noise = unchecked(1664525 * noise + 1013904223);
                    var mask = (byte)(noise % 255 & 0xf);
                    rgb[(y * width + x) * 3 + c] = (byte)(0x50 | (padded[at] & 0xf ^ mask));
                    rgb[(y * width + width - block + x) * 3 + c] = (byte)(0x50 | (padded[at] >> 4 ^ mask));
                }
            }
        }
        return new(new(width, Rows), rgb);
    }
}
