using Levain.Formats;
using Levain.Models;
using Levain.Models.Inspection;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class FileReportTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("levain-report-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_trained_LoRA_is_explained_from_keys_shapes_and_metadata()
    {
        var report = FileReport.Of(Golden.Path("demo", "mochi-kohya.safetensors"));
        Assert.Equal(FileContent.Lora, report.Kind.Content);
        Assert.Equal("kohya", report.Network!.Spelling);
        Assert.All(report.Network.Blocks, block => Assert.Equal(("LoRA", 16L, 16.0), (block.Family, block.Rank, block.Alpha)));
        Assert.Equal(report.Network.Adapters, report.Network.Blocks.Sum(block => block.Adapters));
        Assert.Equal(["U-Net", "text encoder"], report.Network.Blocks.Select(block => block.Part).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal("networks.lora", Fact("network module"));
        Assert.Equal("42", Fact("seed"));
        Assert.Contains("mochi (", Fact("most frequent tags"));
        Assert.Contains("24 pictures, 10 repeats", Fact("folders"));
        Assert.Equal(report.Metadata["sshs_model_hash"], report.Hashes!.Network);
        Assert.Empty(report.NonFinite!);
        Assert.Empty(report.Warnings);

        string Fact(string name) => report.Training.Single(fact => fact.Name == name).Value;
    }

    [Fact]
    public void A_checkpoint_lists_its_models()
    {
        var report = FileReport.Of(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"), quick: true);
        Assert.Equal("an SD 1.x checkpoint", report.Kind.Name);
        Assert.Equal(["U-Net", "VAE", "text encoder"], report.Parts.Select(part => part.Part).Intersect(["U-Net", "VAE", "text encoder"]).OrderBy(part => part, StringComparer.Ordinal));
        Assert.Null(report.Hashes);
        Assert.Equal(992, report.Tensors);
    }

    [Fact]
    public void Every_network_file_shows_its_adapters()
    {
        foreach (var path in Directory.GetFiles(Golden.Path("lora-tools"), "variant_*.safetensors").Concat(Directory.GetFiles(Golden.Path("networks"), "file_*.safetensors")))
        {
            var report = FileReport.Of(path, quick: true);
            Assert.True(report.Network!.Adapters > 0, path);
            if (path.Contains("variant_lora_a")) Assert.All(report.Network.Blocks, block => Assert.Equal(4, block.Rank));
        }
        var bundle = FileReport.Of(Golden.Path("lora-tools", "variant_lora_a_bundle.safetensors"), quick: true);
        Assert.Equal([("cat", 2L), ("dog", 1L)], bundle.Embeddings.Select(e => (e.Name.Split('.')[1], e.Vectors)).Order());
    }

    [Fact]
    public void Values_that_are_not_finite_are_named()
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder, "broken.safetensors");
        var bad = zeros(3, 4, dtype: ScalarType.Float16);
        bad[1, 2] = float.NaN;
        bad[2, 3] = float.PositiveInfinity;
        bad[0, 0] = float.NegativeInfinity;
        Safetensors.Write(path, [new("a.weight", bad), new("b.weight", ones(2)), new("c.weight", zeros(2).to(Dtypes.Float8E4M3))], null);
        var report = FileReport.Of(path);
        Assert.Equal([new NonFiniteTensor("a.weight", 1, 2, 12)], report.NonFinite);
        Assert.Contains("a.weight", report.Warnings.Single());
    }

    [Fact]
    public void A_network_changed_after_training_is_noticed()
    {
        using var scope = NewDisposeScope();
        using var file = TensorFile.Open(Golden.Path("demo", "mochi-kohya.safetensors"));
        var path = Path.Combine(folder, "changed.safetensors");
        Safetensors.Write(path, [.. file.Entries.Keys.Select(key => KeyValuePair.Create(key, file.Load(key) * 2))], file.Metadata);
        Assert.Contains("changed after training", FileReport.Of(path).Warnings.Single());
    }

    [Theory]
    [InlineData("ti_webui.pt")]
    [InlineData("ti_kohya.pt")]
    [InlineData("ti_diffusers.bin")]
    [InlineData("ti_parameter_dict.pt")]
    public void Embeddings_tell_their_vectors(string name)
    {
        var report = FileReport.Of(Golden.Path("files", "ckpt", "good", name));
        Assert.Equal(FileContent.Embedding, report.Kind.Content);
        Assert.Equal(16, report.Embeddings.Single().Width);
    }
}
