using System.Text.Json;
using Levain.Formats;
using Levain.Tests.Data;
using Xunit;

namespace Levain.Tests.Formats;

public sealed class FileHashesTests
{
    [Fact]
    public async Task A_file_is_hashed_again_once_it_changes()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "model.safetensors");
        File.WriteAllText(path, "abc");
        var hashes = new FileHashes();
        const string Abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";      // FIPS 180-2, appendix B.1
        Assert.Equal(Abc, await hashes.Of(path));
        Assert.Same(hashes.Of(path), hashes.Of(path));
        File.WriteAllText(path, "abcd");
        Assert.NotEqual(Abc, await hashes.Of(path));
    }

    [Fact]
    public async Task Large_files_are_kept_for_later_processes_and_small_ones_are_not()
    {
        using var folder = new TemporaryFolder();
        var (kept, small, large) = (Path.Combine(folder.Path, "cache", "hashes.json"), Path.Combine(folder.Path, "small"), Path.Combine(folder.Path, "large"));
        File.WriteAllText(small, "abc");
        await new FileHashes(kept).Of(small);
        Assert.False(File.Exists(kept));

        using (var stream = File.Create(large)) stream.SetLength(257L << 20);         // a hole: no disk is filled
        var hash = await new FileHashes(kept).Of(large);
        var told = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(kept))!;
        Assert.Equal(hash, Assert.Single(told).Value);
        File.WriteAllText(kept, File.ReadAllText(kept).Replace(hash, new string('5', 64)));
        Assert.Equal(new string('5', 64), await new FileHashes(kept).Of(large));             // the list is believed ...
        File.SetLastWriteTimeUtc(large, new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.Equal(hash, await new FileHashes(kept).Of(large));                            // ... as long as the file did not change
        File.WriteAllText(kept, "no list");
        Assert.Equal(hash, await new FileHashes(kept).Of(large));
    }

    [Theory]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"STAMP\": null}")]
    [InlineData("{\"STAMP\": 5}")]
    [InlineData("{\"STAMP\": \"NOFILE\"}")]
    [InlineData("{\"STAMP\": null, \"\": null, \"|||\": \"a\", \"1|2\\u0000|/\": \"b\"}")]
    public async Task An_odd_list_is_not_believed_and_stops_nothing(string list)
    {
        using var folder = new TemporaryFolder();
        var (kept, large) = (Path.Combine(folder.Path, "hashes.json"), Path.Combine(folder.Path, "large"));
        using (var stream = File.Create(large)) stream.SetLength(256L << 20);
        var stamp = $"{256L << 20}|{File.GetLastWriteTimeUtc(large).Ticks}|{large}";
        File.WriteAllText(kept, list.Replace("STAMP", JsonEncodedText.Encode(stamp).ToString()));
        var hash = await new FileHashes(kept).Of(large);
        Assert.Equal(ModelHashes.Sha256(large), hash);
        Assert.Equal(hash, JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(kept))![stamp]);
    }

    [Fact]
    public async Task A_file_that_could_not_be_read_is_read_when_it_is_asked_for_again()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", "abc");
        var hashes = new FileHashes();
        using (File.Open(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None)) await Assert.ThrowsAnyAsync<IOException>(() => hashes.Of(path));
        Assert.Equal(ModelHashes.Sha256(path), await hashes.Of(path));
        await Assert.ThrowsAsync<FileNotFoundException>(() => hashes.Of(path + ".gone"));
    }
}
