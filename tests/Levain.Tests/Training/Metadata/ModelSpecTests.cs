using System.Text.Json;
using Levain.Training.Kohya;
using Levain.Training.Metadata;
using Xunit;

namespace Levain.Tests.Training.Metadata;

public sealed class ModelSpecTests
{
    private static JsonElement Recorded => Golden.Json("lora-tools", "metadata.json");

    [Fact]
    public void Modelspec_keys_are_those_kohya_writes()
    {
        foreach (var row in Recorded.GetProperty("modelspec").EnumerateArray())
        {
            var args = row.GetProperty("args");
            Same(row, new ModelSpec
            {
                V2 = Is(args, "v2"),
                VParameterization = Is(args, "v_parameterization"),
                Sdxl = Is(args, "sdxl"),
                Lora = Is(args, "lora"),
                TextualInversion = Is(args, "textual_inversion"),
                SingleFile = !args.TryGetProperty("is_stable_diffusion_ckpt", out var single) || single.GetBoolean(),
                Title = Text(args, "title"),
                Author = Text(args, "author"),
                Description = Text(args, "description"),
                License = Text(args, "license"),
                Tags = Text(args, "tags"),
                MergedFrom = Text(args, "merged_from"),
                Resolution = Pair(args, "reso") is var (width, height) ? new(width, height) : null,
                Timesteps = Pair(args, "timesteps"),
                ClipSkip = Pair(args, "clip_skip")?.Item1,
                Timestamp = row.GetProperty("timestamp").GetDouble(),
                Zone = TimeZoneInfo.Utc,
                More = args.TryGetProperty("optional_metadata", out var more) ? [.. more.EnumerateObject().Select(pair => new KeyValuePair<string, string?>(pair.Name, pair.Value.GetString()))] : [],
            });
        }
    }

    [Fact]
    public void A_trainers_arguments_become_its_modelspec_keys()
    {
        foreach (var row in Recorded.GetProperty("trainer").EnumerateArray())
        {
            var args = row.GetProperty("args");
            var words = new List<string>();
            foreach (var argument in args.EnumerateObject().Where(argument => argument.Name != "v2"))
                if (argument.Value.ValueKind is JsonValueKind.True) words.Add($"--{argument.Name}");
                else if (argument.Value.ValueKind is not (JsonValueKind.Null or JsonValueKind.False)) words.AddRange([$"--{argument.Name}", argument.Value.ToString()]);
            var (settings, _) = KohyaArguments.Read(words);
            Same(row, LoraMetadata.Spec(settings, 1700000000.75) with { V2 = Is(args, "v2"), Sdxl = row.GetProperty("sdxl").GetBoolean(), Zone = TimeZoneInfo.Utc });
        }
    }

    [Fact]
    public void The_minimum_is_what_kohya_keeps()
    {
        Assert.Equal(Recorded.GetProperty("minimum_keys").EnumerateArray().Select(key => key.GetString()), LoraMetadata.MinimumKeys);
        foreach (var row in Recorded.GetProperty("minimum").EnumerateArray())
        {
            var args = row.GetProperty("args").EnumerateArray().ToList();
            var arguments = args[5].ValueKind is JsonValueKind.Null ? null
                : args[5].EnumerateObject().Select(pair => new KeyValuePair<string, object?>(pair.Name, pair.Value.ValueKind is JsonValueKind.Number ? pair.Value.GetInt64() : pair.Value.GetString()));
            var built = LoraMetadata.Minimum(args[0].GetString(), args[1].GetString(), args[2].GetString()!, args[3].GetString()!, args[4].GetString()!, arguments);
            Assert.Equal(row.GetProperty("metadata").EnumerateObject().Select(pair => (pair.Name, pair.Value.GetString())).Order(), built.Select(pair => (pair.Key, (string?)pair.Value)).Order());
        }
    }

    private static void Same(JsonElement row, ModelSpec spec) =>
        Assert.Equal(row.GetProperty("metadata").EnumerateObject().Select(pair => (pair.Name, pair.Value.GetString())).Order(), spec.Build().Select(pair => (pair.Key, (string?)pair.Value)).Order());

    private static bool Is(JsonElement args, string name) => args.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.True;

    private static string? Text(JsonElement args, string name) => args.TryGetProperty(name, out var value) ? value.GetString() : null;

    // A size or range as kohya takes it: a number, "a,b", or a list.
    private static (int, int)? Pair(JsonElement args, string name)
    {
        if (!args.TryGetProperty(name, out var value)) return null;
        var numbers = value.ValueKind is JsonValueKind.Array ? [.. value.EnumerateArray().Select(side => side.GetInt32())] : value.ToString().Split(',').Select(int.Parse).ToArray();
        return (numbers[0], numbers[^1]);
    }
}
