using System.Text.Json;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats.Embeddings;

/// <summary>A webui embedding inside a PNG: JSON in a text chunk or hidden in the border.</summary>
internal sealed class EmbeddingPicture : TensorFile
{
    private const string TextKey = "sd-ti-embedding";
    private const string TensorKey = "TORCHTENSOR";
    private const int MaxDepth = 64;

    private readonly Dictionary<string, float[]> values;

    private EmbeddingPicture(string path, Content content)
        : base(path, "PNG embedding", content.Texts, content.Entries) => values = content.Values;

    /// <exception cref="CheckpointException">The picture holds no embedding, or a damaged one.</exception>
    public static EmbeddingPicture OpenPicture(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var picture = PngPicture.Read(stream);
            var json = picture.Texts.TryGetValue(TextKey, out var text) ? Convert.FromBase64String(text) : HiddenPixels.Read(picture);
            if (json is null) throw new CheckpointException(path, "is a picture without an embedding in it.") { Fault = CheckpointFault.NotACheckpoint };
            using var document = JsonDocument.Parse(json, new() { MaxDepth = MaxDepth });
            var content = new Content();
            content.Add("", document.RootElement);
            if (content.Entries.Count == 0) throw new CheckpointException(path, "is an embedding picture without vectors.") { Fault = CheckpointFault.NoTensors };
            return new(path, content);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException or JsonException or InvalidOperationException or OverflowException)
        {
            throw new CheckpointException(path, $"is a picture whose embedding cannot be read: {e.Message}", cause: e) { Fault = CheckpointFault.NotACheckpoint };
        }
    }

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
