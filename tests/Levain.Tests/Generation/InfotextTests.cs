using System.Globalization;
using System.Text;
using System.Text.Json;
using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Tests.Data;
using Xunit;

namespace Levain.Tests.Generation;

public sealed class InfotextTests
{
    private static readonly GenerationRequest Full = new()
    {
        Prompt = "1girl, (solo:1.2)\nsecond line",
        NegativePrompt = "lowres, bad: hands",
        Seed = 420,
        Steps = 28,
        Sampler = "Euler a Karras",
        CfgScale = 6.5,
        Size = new(512, 768),
        ClipSkip = 2,
        Emphasis = Emphasis.NoNorm,
        SeedOptions = new() { Variation = new(9, 0.25), ResizeFrom = new(512, 512), Delta = 31337 },
        SamplerOptions = new() { Eta = 0.5 },
        ScheduleOptions = new() { SigmaMin = 0.1, Rho = 5, SgmNoise = true },
        Guidance = new() { NegativeMinSigma = 3, Rescale = 0.7, Padding = ConditioningPadding.Empty },
        Hires = new() { Scale = 1.5, Steps = 10, Denoise = 0.45, Upscaler = "Lanczos", Sampler = "Heun", Prompt = "detail, eyes", CfgScale = 4 },
    };

    [Fact]
    public void A_request_written_into_a_picture_comes_back()
    {
        var read = InfotextReader.Read(Infotext.Of(Full, new("nai", "925997e9f0", "kl.safetensors", "735e4c3a44")));
        Assert.Equal(Full, read.Request);
        Assert.Empty(read.Notes);
        Assert.Equal(("nai", "925997e9f0", "kl.safetensors", "735e4c3a44"), (read.Fields["Model"], read.Fields["Model hash"], read.Fields["VAE"], read.Fields["VAE hash"]));
    }

    [Theory]
    [InlineData("samplers")]
    [InlineData("samplers_t")]
    [InlineData("sigmas")]
    [InlineData("img2img")]
    [InlineData("cfg")]
    public void The_text_says_what_the_webui_s_says(string file)
    {
        var seen = 0;
        foreach (var row in Golden.Json("sampling", $"{file}.json").GetProperty("cases").EnumerateArray())
        {
            if (!row.TryGetProperty("infotext", out var expected) || row.TryGetProperty("options", out var options) && options.TryGetProperty("use_old_karras_scheduler_sigmas", out _)) continue;
            var fields = InfotextReader.Read(Infotext.Of(RequestOf(row), new("model"))).Fields;
            foreach (var field in expected.EnumerateObject())
            {
                Assert.True(fields.TryGetValue(field.Name, out var value), $"{row}: {field.Name} is missing");
                var same = field.Value.ValueKind == JsonValueKind.Number
                    ? double.Parse(value, CultureInfo.InvariantCulture) == field.Value.GetDouble()
                    : value == (field.Value.ValueKind == JsonValueKind.True ? "True" : field.Value.GetString());
                Assert.True(same, $"{row}: {field.Name} is {value}");
            }
            seen++;
        }
        Assert.True(seen > 0);
    }

    [Fact]
    public void The_webui_s_own_text_is_read()
    {
        var read = InfotextReader.Read("""
            1girl <lora:last:1>
            Negative prompt: lowres
            Steps: 20, Sampler: DDIM, Schedule type: Automatic, CFG scale: 7, Seed: 420, Size: 512x512, Model hash: 925997e9f0, Model: nai, Clip skip: 2, RNG: CPU, Lora hashes: "last: 0123456789ab", Version: v1.10.1
            """);
        Assert.Equal(("1girl <lora:last:1>", "lowres", 20, "DDIM", 7.0, 420L, new PixelSize(512, 512), 2, NoiseKind.Cpu),
            (read.Request.Prompt, read.Request.NegativePrompt, read.Request.Steps, read.Request.Sampler, read.Request.CfgScale, read.Request.Seed, read.Request.Size, read.Request.ClipSkip, read.Request.Noise));
        Assert.Equal("last: 0123456789ab", read.Fields["Lora hashes"]);
        Assert.Empty(read.Notes);
    }

    [Fact]
    public void Other_files_than_a_picture_s_are_told_by_their_hashes()
    {
        ReadInfotext Read(BaseNames names, string loras) => InfotextReader.Read(Infotext.Of(Full, names, ("Lora hashes", loras)));
        var told = Read(new("nai", "925997e9f0", "kl.pt", "735e4c3a44"), "a: 0123456789ab, b: 1123456789ab");
        Assert.Empty(told.OtherFiles(told));
        Assert.Equal(
            ["It was drawn with the base nai (925997e9f0), and now nai (0000000000) is used.", "It was drawn with the VAE kl.pt (735e4c3a44), and now another is used.", "It was drawn with another file of the name b (1123456789ab, now ffff456789ab)."],
            told.OtherFiles(Read(new("nai", "0000000000"), "a: 0123456789ab, b: ffff456789ab")));
    }

    [Fact]
    public void Settings_are_written_in_the_words_of_infotexts()
    {
        var problems = new Problems();
        var request = InfotextReader.Settings("Emphasis: No norm, Schedule type: Karras, Schedule rho: 5, Sigma churn: 0.5, Pad conds: True", Full with { Sampler = "Heun", Hires = null }, problems);
        Assert.False(problems.Any);
        Assert.Equal((Emphasis.NoNorm, SigmaSchedules.Karras, 5, 0.5, ConditioningPadding.Empty, Full.Seed, null),
            (request.Emphasis, request.ScheduleOptions.Schedule, request.ScheduleOptions.Rho, request.SamplerOptions.Churn, request.Guidance.Padding, request.Seed, request.Hires));
        Assert.Equal(1.5, InfotextReader.Settings("Hires CFG Scale: 2", Full, problems).Hires!.Scale);

        // every name that is offered is taken
        foreach (var name in InfotextReader.SettingNames)
            InfotextReader.Settings($"{name}: {(name is "Emphasis" ? "Ignore" : name is "Schedule type" ? "Beta" : name is "RNG" ? "CPU" : name.StartsWith("Pad") || name.EndsWith("steps") || name.StartsWith("Old") ? "True" : "1")}", Full, problems);
        Assert.False(problems.Any);
        InfotextReader.Settings("Emphasise: None, Mask blur: 3, Schedule rho: high", Full, problems);
        var told = Assert.Throws<SettingsException>(problems.ThrowIfAny).Message;
        Assert.Contains("--settings: holds 'Mask blur'. It has options of its own", told);
        Assert.Contains("'Emphasise: None' is not understood and was left out. Did you mean 'Emphasis'?", told);
        Assert.Contains("'Schedule rho: high' is not understood", told);
    }

    [Theory]
    [InlineData("Denoising strength: 0.4, Hires upscale: 1.5", true)]
    [InlineData("Denoising strength: 0.4, Hires upscaler: Lanczos", true)]
    [InlineData("Denoising strength: 0.4, Hires resize: 96x96", true)]
    [InlineData("Hires upscale: 1.5", false, "Hires upscale")]
    [InlineData("Denoising strength: 0.4, Hires CFG Scale: 5", false, "Hires CFG Scale")]
    [InlineData("Denoising strength: 0.4, Hires steps: 5, Hires sampler: Euler", false, "Hires steps", "Hires sampler")]
    public void A_second_pass_is_drawn_where_the_webui_s_paste_would_turn_it_on(string fields, bool asked, params string[] told)
    {
        var read = InfotextReader.Read($"a cat\nSteps: 5, Seed: 3, Size: 64x64, {fields}");
        Assert.Equal(asked, read.Request.Hires is not null);
        Assert.Equal(!asked && fields.Contains("Denoising"), read.Img2Img is not null);
        Assert.Equal(told.Length, read.Notes.Count);
        Assert.All(told.Zip(read.Notes), pair => Assert.Contains($"'{pair.First}: ", pair.Second));
    }

    [Fact]
    public void Settings_of_a_second_pass_do_not_ask_for_one()
    {
        var problems = new Problems();
        Assert.Null(InfotextReader.Settings("Hires CFG Scale: 5, Eta: 0.5", new(), problems).Hires);
        Assert.Equal("--settings: holds 'Hires CFG Scale', and there is no second pass. Ask for one: --hires 2.", Assert.Single(problems.All).ToString());
        problems = new();
        Assert.Equal(5, InfotextReader.Settings("Hires CFG Scale: 5", new() { Hires = new() }, problems).Hires!.CfgScale);
        Assert.False(problems.Any);
    }

    [Fact]
    public void What_is_not_understood_is_told()
    {
        var read = InfotextReader.Read("a cat\nSteps: 5, Sampler: Foo bar, Seed: 3, Size: 64x64, Face restoration: GFPGAN");
        Assert.Contains("'Foo bar' is not known here", string.Join(' ', read.Notes));
        Assert.Contains("'Face restoration: GFPGAN' is not understood", string.Join(' ', read.Notes));
        Assert.Equal(NoiseKind.Gpu, read.Request.Noise);        // the webui's default writes no RNG
        Assert.Equal("just words, no fields: here", InfotextReader.Read("just words, no fields: here").Request.Prompt);
    }

    [Theory]
    [InlineData("a.png")]
    [InlineData("a.jpg")]
    [InlineData("a.webp")]
    public void A_picture_file_carries_its_text(string name)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, name);
        var picture = new Picture(new(24, 16), [.. Enumerable.Range(0, 24 * 16 * 3).Select(i => (byte)(i % 251))]);
        foreach (var text in new[] { "plain, Steps: 3", "ünï – 女の子, \"quoted\": 1", new string('x', 5000) })
        {
            PictureFile.Write(path, picture, text);
            Assert.Equal(text, PictureFile.ReadText(path));
            Assert.Equal(picture.Size, Picture.Open(path).Size);
        }
        PictureFile.Write(path, picture);
        Assert.Null(PictureFile.ReadText(path));
        var whole = File.ReadAllBytes(path);
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Null(PictureFile.ReadText(path));
        }
        Assert.Contains("ends with '.gif'", Assert.Throws<SettingsException>(() => PictureFile.Write("a.gif", picture)).Message);
    }

    [Fact]
    public void Pictures_of_NovelAI_tell_theirs_in_its_words()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "nai.png");
        PngFile.Write(path, new(new(64, 32), new byte[64 * 32 * 3]));
        var plain = File.ReadAllBytes(path);
        byte[] Text(string keyword, string text)
        {
            byte[] data = [.. Encoding.Latin1.GetBytes(keyword), 0, .. Encoding.Latin1.GetBytes(text)];
            return [(byte)(data.Length >> 24), (byte)(data.Length >> 16), (byte)(data.Length >> 8), (byte)data.Length, .. "tEXt"u8, .. data, 0, 0, 0, 0];
        }
        const int Head = 8 + 25;
        File.WriteAllBytes(path, [.. plain[..Head], .. Text("Software", "NovelAI"), .. Text("Description", "1girl, {smile}"), .. Text("Comment", """{"steps": 28, "sampler": "k_euler_ancestral", "seed": 77, "strength": 0.69, "scale": 11.0, "uc": "lowres"}"""), .. plain[Head..]]);
        var read = InfotextReader.Read(PictureFile.ReadText(path)!).Request;
        Assert.Equal(("1girl, {smile}", "lowres", 28, "Euler a", 11.0, 77L, new PixelSize(64, 32), 2, 31337L),
            (read.Prompt, read.NegativePrompt, read.Steps, read.Sampler, read.CfgScale, read.Seed, read.Size, read.ClipSkip, read.SeedOptions.Delta));
    }

    [Theory]
    [InlineData("[number]-[seed].png", "00012-420.png")]
    [InlineData("out/[prompt_words]-[cfg]-[nonsense].png", "out/1girl solo 1 2 second line-6.5-[nonsense].png")]
    [InlineData("[sampler_scheduler] [width]x[height] [model_name].jpg", "Euler a Karras 4x2 nai.jpg")]
    [InlineData("[date]/[datetime]-[clip_skip][none].png", "2024-03-09/20240309101112-2.png")]
    public void File_names_say_what_was_drawn(string pattern, string expected)
    {
        var result = new GenerationResult(Full, new(new(4, 2), new byte[24]), Infotext.Of(Full, new("nai")));
        Assert.True(FileNamePattern.IsPattern(pattern));
        Assert.Equal(expected, FileNamePattern.Of(pattern, result, new(12) { Drawn = new(2024, 3, 9, 10, 11, 12) }));
    }

    private static GenerationRequest RequestOf(JsonElement row)
    {
        var set = row.TryGetProperty("options", out var found) ? found : default;
        var schedule = row.TryGetProperty("scheduler", out var name) && name.GetString() != WebuiNames.Automatic ? SigmaSchedules.All.Single(known => known.Name == name.GetString()) : null;
        var sampler = row.GetProperty("sampler").GetString()!;
        return new()
        {
            Prompt = "x",
            Sampler = sampler,
            Steps = row.GetProperty("steps").GetInt32(),
            ScheduleOptions = new()
            {
                Schedule = schedule,
                SigmaMin = Number("sigma_min"),
                SigmaMax = Number("sigma_max"),
                Rho = Number("rho"),
                BetaA = Number("beta_dist_alpha") ?? 0.6,
                BetaB = Number("beta_dist_beta") ?? 0.6,
                SgmNoise = Sets("sgm_noise_multiplier"),
                DiscardPenultimate = Sets("always_discard_next_to_last_sigma"),
            },
            SamplerOptions = new()
            {
                Eta = row.TryGetProperty("eta", out var eta) ? eta.GetDouble() : null,
                Churn = Number("s_churn") ?? 0,
                ChurnMin = Number("s_tmin") ?? 0,
                ChurnMax = Number("s_tmax") ?? double.PositiveInfinity,
                NoiseScale = Number("s_noise") ?? 1,
            },
            Guidance = new()
            {
                NegativeMinSigma = row.TryGetProperty("s_min_uncond", out var least) ? least.GetDouble() : 0,
                NegativeMinSigmaAlways = Sets("s_min_uncond_all"),
                SkipEarly = Number("skip_early_cond") ?? 0,
                Padding = Sets("pad_cond_uncond") ? ConditioningPadding.Empty : Sets("pad_cond_uncond_v0") ? ConditioningPadding.RepeatLast : ConditioningPadding.None,
            },
            Img2Img = row.TryGetProperty("img2img", out _) ? new(new(new(8, 8), new byte[192])) { ExtraNoise = Number("img2img_extra_noise") ?? 0 } : null,
        };

        double? Number(string key) => set.ValueKind == JsonValueKind.Object && set.TryGetProperty(key, out var number) && number.GetDouble() != 0 ? number.GetDouble() : null;

        bool Sets(string key) => set.ValueKind == JsonValueKind.Object && set.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.True;
    }
}
