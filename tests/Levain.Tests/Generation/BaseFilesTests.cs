using Levain.Formats;
using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;

namespace Levain.Tests.Generation;

public sealed class BaseFilesTests : IDisposable
{
    private static readonly GenerationRequest Girl = new() { Prompt = "1girl", Size = new(64, 64), Steps = 1, Sampler = "Euler" };

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_picture_is_drawn_whatever_becomes_of_the_hashes()
    {
        var path = folder.Write("base.safetensors", "never read");
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model) { Files = new(path, path, new()) };
        using (File.Open(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            var drawn = pipeline.Draw(Girl);
            Assert.Contains("Model: base, VAE: base.safetensors", drawn.Infotext);
            Assert.DoesNotContain("hash", drawn.Infotext);
            Assert.All(drawn.Notes, note => Assert.Matches("base.safetensors.*Its hash is left out of the picture's text", note));
            Assert.Equal(2, drawn.Notes.Count);
        }
        var again = pipeline.Draw(Girl);
        Assert.Contains($"Model hash: {ModelHashes.Short(ModelHashes.Sha256(path))}", again.Infotext);
        Assert.Empty(again.Notes);
    }

    [Fact]
    public void A_network_that_is_gone_once_the_picture_is_drawn_costs_only_its_hash()
    {
        var path = Path.Combine(folder.Path, "mochi.safetensors");
        File.Copy(Golden.Path("demo", "mochi-kohya.safetensors"), path);
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        var request = Girl with { Networks = [new(path, 1)] };
        var drawn = pipeline.Draw(request, new Watch(() => File.Delete(path)));
        Assert.DoesNotContain("hash", drawn.Infotext);
        Assert.Contains(drawn.Notes, note => note.Contains("mochi.safetensors") && note.EndsWith("Its hash is left out of the picture's text."));
    }

    [Fact]
    public void A_slow_disk_is_told_of()
    {
        var (hash, notes) = (new TaskCompletionSource<string>(), new List<string>());
        var told = new List<string>();
        Assert.Equal("0123456789", BaseFiles.Short("base.safetensors", hash.Task, notes, new Tell(text =>
        {
            told.Add(text);
            hash.SetResult("0123456789abcdef");
        }), default));
        Assert.StartsWith("Waiting for the hash of base.safetensors", Assert.Single(told));
        Assert.Empty(notes);
    }

    [Fact]
    public void Whoever_stops_the_wait_gets_the_picture_without_the_hash()
    {
        var notes = new List<string>();
        using var stop = new CancellationTokenSource();
        Assert.Null(BaseFiles.Short("base.safetensors", new TaskCompletionSource<string>().Task, notes, new Tell(_ => stop.Cancel()), stop.Token));
        Assert.StartsWith("base.safetensors: was not read to its end", Assert.Single(notes));
    }

    private static string Base => Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    private sealed class Watch(Action step) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => step();
    }

    private sealed class Tell(Action<string> tell) : IProgress<string>
    {
        public void Report(string value) => tell(value);
    }
}
