using System.Text.Json;
using System.Text.Json.Nodes;
using Levain.Formats;
using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Writes an SD 1.x model as a folder in diffusers' layout: a sub-folder with weights and settings for each part, the tokenizer and the noise schedule.</summary>
/// <remarks>huggingface/diffusers 0.32, <c>StableDiffusionPipeline.save_pretrained</c>.</remarks>
public static class DiffusersWriter
{
    private const string Version = "0.32.1";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes the folder whole or not at all; one of its name is replaced at the end.</summary>
    /// <param name="folder">Target.</param>
    /// <param name="model">The tensors.</param>
    /// <param name="velocity">Whether the model predicts velocity.</param>
    /// <param name="pickles">Whether weights are written as pickles (<c>.bin</c>) instead of safetensors.</param>
    public static void Write(string folder, ModelTensors model, bool velocity, bool pickles = false)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var temporary = Path.Combine(Path.GetDirectoryName(target)!, $".{Path.GetFileName(target)}.{Environment.ProcessId}-{Guid.NewGuid():N}.tmp");
        try
        {
            Component(temporary, "unet", "diffusion_pytorch_model", model.UNet, UNetConfig(model.UNet.ToDictionary(), velocity), pickles);
            Component(temporary, "vae", "diffusion_pytorch_model", model.Vae, VaeConfig(model.Vae.ToDictionary()), pickles);
            Component(temporary, "text_encoder", pickles ? "pytorch_model" : "model", model.TextEncoder, TextConfig(model.TextEncoder.ToDictionary()), pickles);
            Copied(model.Base, temporary, "tokenizer", Tokenizer);
            Copied(model.Base, temporary, "scheduler", place => Json(Path.Combine(place, "scheduler_config.json"), Scheduler(velocity)));
            Json(Path.Combine(temporary, "model_index.json"), Index());
            if (Directory.Exists(target)) Directory.Delete(target, recursive: true);
            Directory.Move(temporary, target);
        }
        catch
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
            throw;
        }
    }

    private static void Component(string root, string name, string stem, IReadOnlyList<KeyValuePair<string, Tensor>> tensors, JsonObject config, bool pickles)
    {
        var place = Path.Combine(root, name);
        Directory.CreateDirectory(place);
        var dense = tensors.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.detach())).ToList();
        if (pickles) PickleWriter.Write(Path.Combine(place, stem + ".bin"), dense);
        else Safetensors.Write(Path.Combine(place, stem + ".safetensors"), dense, new Dictionary<string, string> { ["format"] = "pt" });
        Json(Path.Combine(place, "config.json"), config);
    }

    // What a diffusers folder already says about words and noise stays.
    private static void Copied(string origin, string root, string name, Action<string> otherwise)
    {
        var (from, to) = (Path.Combine(origin, name), Path.Combine(root, name));
        Directory.CreateDirectory(to);
        if (!Directory.Exists(from)) otherwise(to);
        else foreach (var file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    private static void Tokenizer(string place)
    {
        File.WriteAllText(Path.Combine(place, "vocab.json"), ClipVocabulary.Json());
        File.WriteAllText(Path.Combine(place, "merges.txt"), ClipVocabulary.Merges());
        JsonObject token(string text) => new() { ["content"] = text, ["lstrip"] = false, ["normalized"] = true, ["rstrip"] = false, ["single_word"] = false };
        Json(Path.Combine(place, "special_tokens_map.json"), new JsonObject { ["bos_token"] = token("<|startoftext|>"), ["eos_token"] = token("<|endoftext|>"), ["pad_token"] = "<|endoftext|>", ["unk_token"] = token("<|endoftext|>") });
        Json(Path.Combine(place, "tokenizer_config.json"), new JsonObject
        {
            ["add_prefix_space"] = false,
            ["bos_token"] = "<|startoftext|>",
            ["do_lower_case"] = true,
            ["eos_token"] = "<|endoftext|>",
            ["errors"] = "replace",
            ["model_max_length"] = TokenWindows.Length,
            ["pad_token"] = "<|endoftext|>",
            ["tokenizer_class"] = "CLIPTokenizer",
            ["unk_token"] = "<|endoftext|>",
        });
    }

    private static JsonObject UNetConfig(Dictionary<string, Tensor> weights, bool velocity)
    {
        var spec = UNetSpec.Sd1.SizedBy(Shapes(weights));
        var attends = spec.Depths.Select(depth => depth > 0).ToList();
        return new()
        {
            ["_class_name"] = "UNet2DConditionModel",
            ["_diffusers_version"] = Version,
            ["act_fn"] = "silu",
            ["attention_head_dim"] = spec.Heads,
            ["block_out_channels"] = Numbers(spec.Channels),
            ["center_input_sample"] = false,
            ["cross_attention_dim"] = spec.Context,
            ["down_block_types"] = Texts(attends.Select(attention => attention ? "CrossAttnDownBlock2D" : "DownBlock2D")),
            ["downsample_padding"] = 1,
            ["flip_sin_to_cos"] = true,
            ["freq_shift"] = 0,
            ["in_channels"] = spec.LatentChannels,
            ["layers_per_block"] = spec.ResnetsPerLevel,
            ["mid_block_scale_factor"] = 1,
            ["norm_eps"] = spec.ResnetNorm.Epsilon,
            ["norm_num_groups"] = spec.ResnetNorm.Groups,
            ["out_channels"] = spec.LatentChannels,
            ["sample_size"] = velocity ? 96 : 64,
            ["up_block_types"] = Texts(attends.AsEnumerable().Reverse().Select(attention => attention ? "CrossAttnUpBlock2D" : "UpBlock2D")),
        };
    }

    private static JsonObject VaeConfig(Dictionary<string, Tensor> weights)
    {
        var spec = VaeSpec.Sd1.SizedBy(Shapes(weights));
        return new()
        {
            ["_class_name"] = "AutoencoderKL",
            ["_diffusers_version"] = Version,
            ["act_fn"] = "silu",
            ["block_out_channels"] = Numbers(spec.Channels),
            ["down_block_types"] = Texts(spec.Channels.Select(_ => "DownEncoderBlock2D")),
            ["in_channels"] = 3,
            ["latent_channels"] = spec.LatentChannels,
            ["layers_per_block"] = spec.ResnetsPerLevel,
            ["norm_num_groups"] = spec.Norm.Groups,
            ["out_channels"] = 3,
            ["sample_size"] = 512,
            ["scaling_factor"] = spec.ScaleFactor,
            ["up_block_types"] = Texts(spec.Channels.Select(_ => "UpDecoderBlock2D")),
        };
    }

    private static JsonObject TextConfig(Dictionary<string, Tensor> weights)
    {
        var spec = ClipTextSpec.ClipL.SizedBy(Shapes(weights));
        return new()
        {
            ["architectures"] = Texts(["CLIPTextModel"]),
            ["attention_dropout"] = 0.0,
            ["bos_token_id"] = 0,
            ["dropout"] = 0.0,
            ["eos_token_id"] = 2,
            ["hidden_act"] = "quick_gelu",
            ["hidden_size"] = spec.Width,
            ["initializer_factor"] = 1.0,
            ["initializer_range"] = 0.02,
            ["intermediate_size"] = spec.InnerWidth,
            ["layer_norm_eps"] = spec.Epsilon,
            ["max_position_embeddings"] = spec.Positions,
            ["model_type"] = "clip_text_model",
            ["num_attention_heads"] = spec.Heads,
            ["num_hidden_layers"] = spec.Layers,
            ["pad_token_id"] = 1,
            ["projection_dim"] = spec.Width,
            ["torch_dtype"] = "float32",
            ["vocab_size"] = spec.Vocabulary,
        };
    }

    private static JsonObject Scheduler(bool velocity) => new()
    {
        ["_class_name"] = "DDIMScheduler",
        ["_diffusers_version"] = Version,
        ["beta_end"] = 0.012,
        ["beta_schedule"] = "scaled_linear",
        ["beta_start"] = 0.00085,
        ["clip_sample"] = false,
        ["num_train_timesteps"] = 1000,
        ["prediction_type"] = velocity ? "v_prediction" : "epsilon",
        ["set_alpha_to_one"] = false,
        ["steps_offset"] = 1,
    };

    private static JsonObject Index() => new()
    {
        ["_class_name"] = "StableDiffusionPipeline",
        ["_diffusers_version"] = Version,
        ["feature_extractor"] = new JsonArray(null, null),
        ["requires_safety_checker"] = false,
        ["safety_checker"] = new JsonArray(null, null),
        ["scheduler"] = Texts(["diffusers", "DDIMScheduler"]),
        ["text_encoder"] = Texts(["transformers", "CLIPTextModel"]),
        ["tokenizer"] = Texts(["transformers", "CLIPTokenizer"]),
        ["unet"] = Texts(["diffusers", "UNet2DConditionModel"]),
        ["vae"] = Texts(["diffusers", "AutoencoderKL"]),
    };

    private static ComponentWeights Shapes(Dictionary<string, Tensor> weights) =>
        new("the model", name => weights.TryGetValue(name, out var weight) ? weight.shape : null, (name, target) => target.copy_(weights[name]));

    private static JsonArray Texts(IEnumerable<string> texts) => [.. texts.Select(text => (JsonNode)text)];

    private static JsonArray Numbers(IEnumerable<long> numbers) => [.. numbers.Select(number => (JsonNode)number)];

    private static void Json(string path, JsonObject value) => File.WriteAllText(path, value.ToJsonString(Indented));
}
