using System.Text.Json;
using Levain.Core;
using Levain.Formats;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Formats;

/// <summary>One embedding in every container of <c>files/embedding</c>.</summary>
public sealed class EmbeddingTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_container_holds_the_same_vectors()
    {
        var golden = Golden.Json("files", "embedding.json");
        var content = golden.GetProperty("content");
        var vectors = content.GetProperty("string_to_param/*");
        foreach (var name in golden.GetProperty("files").EnumerateArray().Select(file => file.GetString()!))
        {
            using var scope = NewDisposeScope();
            using var file = TensorFile.Open(Golden.Path("files", "embedding", name));
            output.WriteLine($"{name}: {file.Format}, {string.Join(", ", file.Entries.Keys)}");
            if (file.Entries.ContainsKey("clip_l"))
            {
                var expected = tensor(Convert.FromHexString(vectors.GetProperty("hex").GetString()!)).bytes.ToArray();
                var whole = file.Load("clip_g");
                Assert.Equal(expected, whole.bytes.ToArray());
                Assert.Equal(whole.narrow(1, 0, file.Entries["clip_l"].Shape[1]).contiguous().bytes.ToArray(), file.Load("clip_l").bytes.ToArray());
                continue;
            }
            PickledFileTests.CheckTensor(file, file.Entries.Keys.Single(), vectors);
            if (!name.EndsWith(".png")) continue;
            foreach (var leaf in content.EnumerateObject().Where(leaf => leaf.Value.ValueKind != JsonValueKind.Object)) Assert.Equal(leaf.Value.ToString(), file.Metadata[leaf.Name]);
        }
    }

    [Fact]
    public void Pictures_without_one_and_damaged_ones_are_refused_in_words()
    {
        var path = Path.GetTempFileName();
        var plain = Directory.GetFiles(Golden.Path("demo"), "*.png")[0];
        Assert.Contains("is a picture", Assert.Throws<CheckpointException>(() => TensorFile.Open(plain)).Message);
        foreach (var name in (string[])["preview_text_chunk.png", "preview_hidden_pixels.png"])
        {
            var bytes = File.ReadAllBytes(Golden.Path("files", "embedding", name));
            for (var length = 8; length < bytes.Length - 20; length += 97)
            {
                File.WriteAllBytes(path, bytes[..length]);
                try
                {
                    using var file = TensorFile.Open(path);
                    Assert.True(name.Contains("text"), $"{name} cut at {length} was accepted."); // its text comes before the pixels
                }
                catch (CheckpointException)
                {
                    // told in words
                }
            }
        }
        File.Delete(path);
    }
}
