using System.Text.Json;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats.Embeddings;

/// <summary>A webui embedding inside a picture: JSON in a PNG's text chunk or hidden in the border.</summary>
internal sealed class EmbeddingPicture : TensorFile
{
    private const string TextKey = "sd-ti-embedding";
    private const string TensorKey = "TORCHTENSOR";
    private const int MaxDepth = 64;

    private readonly Dictionary<string, float[]> values;

    private EmbeddingPicture(string path, Content content)
        : base(path, "PNG embedding", content.Texts, content.Entries) => values = content.Values;

    /// <summary>A PNG, which may carry its embedding as a text too.</summary>
    /// <exception cref="CheckpointException">The picture holds no embedding, or a damaged one.</exception>
    public static EmbeddingPicture OpenPicture(string path)
    {
        PngPicture picture;
        byte[] pixels;
        try
        {
            using var stream = File.OpenRead(path);
            picture = PngPicture.Read(stream);
            if (picture.Texts.TryGetValue(TextKey, out var text)) return Read(path, () => Convert.FromBase64String(text), CheckpointFault.BadHeader);
            pixels = picture.Pixels();
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw Unreadable(path, e, CheckpointFault.NotACheckpoint);
        }
        return OfPixels(path, pixels, picture.Width);
    }

    /// <summary>A picture of any other format, which must have kept its pixels without loss.</summary>
    /// <param name="path">The file.</param>
    /// <param name="pixels">[height, width, 3], as they were stored.</param>
    /// <param name="width">Width in px.</param>
    /// <exception cref="CheckpointException">The picture holds no embedding, or a damaged one.</exception>
    public static EmbeddingPicture OfPixels(string path, byte[] pixels, int width) => Read(path, () => HiddenPixels.Read(pixels, width), CheckpointFault.NotACheckpoint);

    /// <param name="fault">What it is when nothing can be made of the bytes: pixels that look like an embedding may be just a picture's.</param>
    private static EmbeddingPicture Read(string path, Func<byte[]?> json, CheckpointFault fault)
    {
        try
        {
            if (json() is not { } bytes) throw new CheckpointException(path, "is a picture without an embedding in it.") { Fault = CheckpointFault.NotACheckpoint };
            using var document = JsonDocument.Parse(bytes, new() { MaxDepth = MaxDepth });
            fault = CheckpointFault.BadHeader;
            var content = new Content();
            content.Add("", document.RootElement);
            if (content.Entries.Count == 0) throw new CheckpointException(path, "is an embedding picture without vectors.") { Fault = CheckpointFault.NoTensors };
            return new(path, content);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException or JsonException or InvalidOperationException or OverflowException)
        {
            throw Unreadable(path, e, fault);
        }
    }

    private static CheckpointException Unreadable(string path, Exception e, CheckpointFault fault) =>
        new(path, $"is a picture whose embedding cannot be read: {e.Message}", cause: e) { Fault = fault };

    private protected override Tensor ViewOf(TensorEntry entry) => tensor(values[entry.Name], dimensions: entry.Shape);

    /// <summary>The JSON's leaves by path, as in pickles: <c>string_to_param/*</c>.</summary>
    private sealed class Content
    {
        public Dictionary<string, string> Texts { get; } = new(StringComparer.Ordinal);

        public List<TensorEntry> Entries { get; } = [];

        public Dictionary<string, float[]> Values { get; } = new(StringComparer.Ordinal);

        public void Add(string path, JsonElement element)
        {
            switch (element.ValueKind)
            {
                case JsonValueKind.Object when element.TryGetProperty(TensorKey, out var nested):
                    var (shape, flat) = (new List<long>(), new List<float>());
                    Flatten(nested, shape, flat, 0);
                    Values.Add(path, [.. flat]);
                    Entries.Add(new(path, ScalarType.Float32, [.. shape], flat.Count * sizeof(float)));
                    break;
                case JsonValueKind.Object:
                    foreach (var pair in element.EnumerateObject()) Add(path.Length == 0 ? pair.Name : $"{path}/{pair.Name}", pair.Value);
                    break;
                case JsonValueKind.Array:
                    foreach (var (i, item) in element.EnumerateArray().Index()) Add($"{path}/{i}", item);
                    break;
                case JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False:
                    Texts[path] = element.ToString();
                    break;
            }
        }

        /// <summary>Nested lists of one shape, row by row.</summary>
        private static void Flatten(JsonElement list, List<long> shape, List<float> flat, int depth)
        {
            if (list.ValueKind != JsonValueKind.Array)
            {
                if (depth != shape.Count) throw new InvalidDataException("its lists differ in depth.");
                flat.Add((float)list.GetDouble());
                return;
            }
            var length = list.GetArrayLength();
            if (depth == shape.Count && flat.Count == 0) shape.Add(length);
            else if (depth >= shape.Count || shape[depth] != length) throw new InvalidDataException("its lists differ in length.");
            foreach (var item in list.EnumerateArray()) Flatten(item, shape, flat, depth + 1);
        }
    }
}
