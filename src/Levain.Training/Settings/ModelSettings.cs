using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>A <c>[[model.networks]]</c> table: a network merged into the base before training.</summary>
public sealed record BaseNetwork
{
    /// <summary>The network's file. Required.</summary>
    public string? File { get; init; }

    /// <summary>How strongly it is merged; 1 is as trained. Default 1.</summary>
    public double Strength { get; init; } = 1;

    /// <summary>The table's keys.</summary>
    public static BaseNetwork Map(BaseNetwork network, TomlMap map) => network with
    {
        File = map.OptionalPath("file", network.File),
        Strength = map.Number("strength", network.Strength),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(File is not null, "file", "is not given.", "Name the network to merge: file = \"style.safetensors\".");
        problems.Require(double.IsFinite(Strength), "strength", $"is {Strength}.", "Use a number; 1 is as trained.");
    }
}

/// <summary>The <c>[model]</c> table: what is trained upon.</summary>
public sealed record ModelSettings
{
    /// <summary>Checkpoint of the base: a .safetensors or .ckpt file, or a diffusers folder. Required.</summary>
    public string? Base { get; init; }

    /// <summary>A VAE in place of the base's own; null keeps the base's.</summary>
    public string? Vae { get; init; }

    /// <summary>The VAE computes in 32 bits whatever the run's precision; in fp16 it always does. Default false.</summary>
    public bool WideVae { get; init; }

    /// <summary>Networks merged into the base before training, in order; the result is trained upon them, and works only with them. Default none.</summary>
    public IReadOnlyList<BaseNetwork> Networks { get; init; } = [];

    /// <summary>Takes the text encoder's n-th last hidden state (with its final norm); 1 is the last. Default null: the last.</summary>
    public int? ClipSkip { get; init; }

    /// <summary>Caption length in tokens: 75, 150 or 225. Default 75.</summary>
    public int MaxTokenLength { get; init; } = ShortCaption;

    /// <summary>The base predicts velocity instead of noise; the target follows. Default false.</summary>
    public bool VParameterization { get; init; }

    /// <summary>Captions carry weights, <c>(word:1.2)</c>, as in the webui. Default false.</summary>
    public bool WeightedCaptions { get; init; }

    /// <summary>Tokens of a caption in one window.</summary>
    public const int ShortCaption = 75;

    /// <summary>Layers of CLIP-L's text encoder, the most that can be skipped over.</summary>
    private const int Layers = 12;

    /// <summary>The table's keys.</summary>
    public static ModelSettings Map(ModelSettings model, TomlMap map) => model with
    {
        Base = map.OptionalPath("base", model.Base),
        Vae = map.OptionalPath("vae", model.Vae),
        WideVae = map.Flag("wide_vae", model.WideVae),
        Networks = map.Tables("networks", model.Networks, () => new(), BaseNetwork.Map),
        ClipSkip = map.OptionalWhole("clip_skip", model.ClipSkip),
        MaxTokenLength = map.Whole("max_token_length", model.MaxTokenLength),
        VParameterization = map.Flag("v_parameterization", model.VParameterization),
        WeightedCaptions = map.Flag("weighted_captions", model.WeightedCaptions),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Base is not null, "base", "is not given.", "Name the checkpoint to train upon: base = \"model.safetensors\".");
        for (var i = 0; i < Networks.Count; i++) Networks[i].Check(problems.In($"networks[{i}]"));
        problems.Require(ClipSkip is null or >= 1 and <= Layers, "clip_skip", $"is {ClipSkip}.", $"Use 1 to {Layers}; 2 suits most anime models.");
        problems.Require(MaxTokenLength is ShortCaption or 2 * ShortCaption or 3 * ShortCaption, "max_token_length", $"is {MaxTokenLength}.", "Use 75, 150 or 225.");
    }
}
