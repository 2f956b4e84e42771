using System.Text.Json;
using System.Text.RegularExpressions;
using Levain.Diffusion;
using Levain.Generation;
using Xunit;

namespace Levain.Tests.Generation;

/// <summary>Infotexts and file names as the webui writes and reads them; every recorded case.</summary>
public sealed partial class WebuiTextTests(ITestOutputHelper output)
{
    // What a request has no word for: the webui's own functions as values, and what is refused by name.
    private static readonly string[] Inexpressible = ["restore_faces", "tm", "Callable", "Bad callable"];

    [Fact]
    public void Texts_are_written_as_the_webui_s()
    {
        var root = Golden.Json("prompts", "infotext_build.json");
        var (compared, left) = (0, 0);
        foreach (var row in root.GetProperty("cases").EnumerateArray())
        {
            if (Inexpressible.Any(word => row.GetProperty("job").GetRawText().Contains($"\"{word}\"", StringComparison.Ordinal)))
            {
                left++;
                continue;
            }
            var job = new Job(root.GetProperty("base"), row.GetProperty("job"));
            var options = row.GetProperty("options");
            var (request, further) = job.Request(options);
            var hashes = !options.TryGetProperty("add_model_hash_to_info", out var shows) || shows.GetBoolean();
            var text = Infotext.Of(request, new(job.Text("sd_model_name"), hashes ? job.Text("sd_model_hash") : null, job.Text("sd_vae_name"), job.Text("sd_vae_hash")), further);
            var expected = row.GetProperty("infotext").GetString()!;
            if (!expected.Contains("Eta: ")) text = text.Replace(", Eta: 0", "");         // samplers add it, and none ran in the recording
            Assert.Equal(Normal(expected), Normal(text));
            compared++;
        }
        output.WriteLine($"{compared} compared, {left} say what a request has no word for");
        Assert.True(compared > left);
    }

    [Theory]
    [InlineData("infotext_build")]
    [InlineData("infotext_parse")]
    public void Texts_are_read_as_the_webui_s(string file)
    {
        foreach (var row in Golden.Json("prompts", $"{file}.json").GetProperty("cases").EnumerateArray())
        {
            var text = row.GetProperty(file == "infotext_build" ? "infotext" : "text").GetString()!;
            var read = InfotextReader.Read(text);
            var found = new Dictionary<string, string>();
            foreach (var (key, value) in read.Fields)
            {
                if (Sides().Match(value) is not { Success: true } sides) found[key] = value;
                else (found[$"{key}-1"], found[$"{key}-2"]) = (sides.Groups[1].Value, sides.Groups[2].Value);
            }
            (found["Prompt"], found["Negative prompt"]) = (read.Request.Prompt, read.Request.NegativePrompt);
            foreach (var field in row.GetProperty("parsed").EnumerateObject())
            {
                var expected = field.Value.ToString();
                if (found.Remove(field.Name, out var value)) Assert.True(value == expected, $"{text}\n{field.Name} is '{value}', not '{expected}'");
                else Assert.False(text.Contains($"{field.Name}:", StringComparison.Ordinal), $"{text}\n{field.Name} was not read");      // a default of the webui's page
            }
            Assert.True(found.Count == 0, $"{text}\nread beyond the webui: {string.Join(", ", found.Keys)}");
        }
    }

    [Fact]
    public void Values_are_quoted_as_the_webui_s()
    {
        foreach (var row in Golden.Json("prompts", "quote.json").GetProperty("cases").EnumerateArray().Where(row => row.GetProperty("value").ValueKind == JsonValueKind.String))
        {
            Assert.Equal(row.GetProperty("quoted").GetString(), Infotext.Quote(row.GetProperty("value").GetString()!));
            Assert.Equal(row.GetProperty("unquoted").GetString(), InfotextReader.Unquoted(row.GetProperty("quoted").GetString()!));
        }
    }

    [Fact]
    public void Parts_of_file_names_hold_what_the_webui_s_hold()
    {
        foreach (var row in Golden.Json("prompts", "sanitize.json").GetProperty("cases").EnumerateArray())
        {
            Assert.Equal(row.GetProperty("spaces_kept").GetString(), FileNamePattern.Safe(row.GetProperty("text").GetString()!));
            Assert.Equal(row.GetProperty("spaces_replaced").GetString(), FileNamePattern.Safe(row.GetProperty("text").GetString()!, blanks: false));
        }
    }

    [Fact]
    public void File_names_are_the_webui_s()
    {
        var root = Golden.Json("prompts", "filenames.json");
        var (jobs, seeds) = (root.GetProperty("jobs"), root.GetProperty("seeds"));
        var picture = new Picture(new(512, 768), [.. Enumerable.Range(0, 512 * 768).SelectMany(_ => new byte[] { 1, 2, 3 })]);
        var (compared, left) = (0, 0);
        foreach (var row in root.GetProperty("cases").EnumerateArray())
        {
            var pattern = row.GetProperty("pattern").GetString()!;
            if (pattern is "[user]" or "[basename]" or "[number]-[seed]")           // this program knows no user and no base name; its number is counted here
            {
                left++;
                continue;
            }
            foreach (var (i, expected) in row.GetProperty("results").EnumerateArray().Index())
            {
                var job = jobs[i];
                var (prompt, batch) = (job.GetProperty("prompt").GetString()!, new BatchOptions { Size = job.GetProperty("batch_size").GetInt32(), Count = job.GetProperty("n_iter").GetInt32() });
                var asked = new GenerationRequest
                {
                    // the recorded prompt holds its styles' words already
                    Prompt = pattern == "[prompt_no_styles]" && i == 0 ? "1girl, (silver hair:1.2)" : prompt,
                    NegativePrompt = job.GetProperty("negative_prompt").GetString()!,
                    Styles = [.. job.GetProperty("styles").EnumerateArray().Select(style => style.GetString()!)],
                    Seed = seeds[i].GetInt64(),
                    Steps = job.GetProperty("steps").GetInt32(),
                    CfgScale = job.GetProperty("cfg_scale").GetDouble(),
                    Sampler = job.GetProperty("scheduler").GetString() is var schedule and not "Automatic" ? $"{job.GetProperty("sampler_name").GetString()} {schedule}" : job.GetProperty("sampler_name").GetString()!,
                    ClipSkip = 2,
                    Img2Img = job.GetProperty("denoising_strength") is { ValueKind: JsonValueKind.Number } denoise ? new(new(new(1, 1), [0, 0, 0])) { Denoise = denoise.GetDouble() } : null,
                };
                var text = Infotext.Of(asked with { Prompt = prompt }, new(root.GetProperty("model_name").GetString(), Vae: "vae-ft-mse.pt"));
                var place = new FilePlace(0, job.GetProperty("iteration").GetInt32() * batch.Size + job.GetProperty("batch_index").GetInt32()) { Batch = batch };
                Assert.Equal(expected.GetString()!.Replace("7.0", "7"), FileNamePattern.Of(pattern, new(asked, picture, text), place));
            }
            compared++;
        }
        output.WriteLine($"{compared} compared, {left} name what this program has not");
        Assert.True(compared > left);
    }

    // Python's floats end with .0; the version is each program's own, and the noise of another source is always told here.
    private static string Normal(string text)
    {
        text = Version().Replace(text, "");
        text = text.Contains(", RNG: ", StringComparison.Ordinal) ? text : text + ", RNG: NV";
        return string.Join('\n', text.Split('\n').Select(line => Whole().Replace(line, "$1"))).Replace(", RNG: NV", "");
    }

    [GeneratedRegex(@"(?<=: \d+)\.0()(?=,|$)")]
    private static partial Regex Whole();

    [GeneratedRegex(", Version: .*$")]
    private static partial Regex Version();

    [GeneratedRegex(@"^(\d+)x(\d+)$")]
    private static partial Regex Sides();

    /// <summary>A recorded job: a default one with changed fields.</summary>
    private sealed class Job(JsonElement usual, JsonElement changes)
    {
        public JsonElement this[string key] => changes.TryGetProperty(key, out var changed) ? changed : usual.GetProperty(key);

        public string? Text(string key) => this[key].GetString();

        public (GenerationRequest Request, IReadOnlyList<(string Key, string Value)> Further) Request(JsonElement options)
        {
            var extra = new Dictionary<string, JsonElement>();
            if (this["extra_generation_params"] is { ValueKind: JsonValueKind.Array } pairs) foreach (var pair in pairs.EnumerateArray()) extra[pair[0].GetString()!] = pair[1];
            var request = new GenerationRequest
            {
                Prompt = Text("prompt")!,
                NegativePrompt = this["all_negative_prompts"][0].GetString()!,
                Steps = this["steps"].GetInt32(),
                Sampler = Text("scheduler") is var schedule and not "Automatic" ? $"{Text("sampler_name")} {schedule}" : Text("sampler_name")!,
                CfgScale = this["cfg_scale"].GetDouble(),
                Seed = this["all_seeds"][0].GetInt64(),
                Size = new(this["width"].GetInt32(), this["height"].GetInt32()),
                Joined = this["tiling"].ValueKind == JsonValueKind.True ? Joined.Both : Joined.None,
                ClipSkip = options.TryGetProperty("CLIP_stop_at_last_layers", out var skip) ? skip.GetInt32() : 1,
                Noise = options.TryGetProperty("randn_source", out var source) && source.GetString() == "CPU" ? NoiseKind.Cpu : NoiseKind.Gpu,
                SeedOptions = new()
                {
                    Variation = this["subseed_strength"].GetDouble() is > 0 and var strength ? new(this["all_subseeds"][0].GetInt64(), strength) : null,
                    ResizeFrom = this["seed_resize_from_w"].GetInt32() > 0 ? new(this["seed_resize_from_w"].GetInt32(), this["seed_resize_from_h"].GetInt32()) : null,
                    Delta = options.TryGetProperty("eta_noise_seed_delta", out var delta) ? delta.GetInt64() : 0,
                },
                SamplerOptions = new() { Eta = this["eta"].ValueKind == JsonValueKind.Number ? this["eta"].GetDouble() : null },
            };
            extra.Remove("Eta");
            extra.Remove("Schedule type");
            return (request, [.. extra.Select(pair => (pair.Key, pair.Value.ToString()))]);
        }
    }
}
