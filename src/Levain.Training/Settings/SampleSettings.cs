using Levain.Core;
using Levain.Diffusion;

namespace Levain.Training.Settings;

/// <summary>One sample picture: what to draw, as a rule always with the same seed.</summary>
public sealed record SamplePrompt
{
    /// <summary>The <see cref="Seed"/> that stands for another one each time.</summary>
    public const long AnySeed = -1;

    /// <summary>What to draw.</summary>
    public string Prompt { get; init; } = "";

    /// <summary>What to keep away from.</summary>
    public string Negative { get; init; } = "";

    /// <summary>Width in px. Null: the training resolution.</summary>
    public int? Width { get; init; }

    /// <summary>Height in px. Null: the training resolution.</summary>
    public int? Height { get; init; }

    /// <summary>Seed of the picture; -1: another one each time. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Steps of the sampler. Default 20.</summary>
    public int Steps { get; init; } = 20;

    /// <summary>How strongly the prompt is followed. Default 7.</summary>
    public double Guidance { get; init; } = 7;

    /// <summary>Sampler of this picture. Null: the table's.</summary>
    public string? Sampler { get; init; }

    /// <summary>The table's keys.</summary>
    public static SamplePrompt Map(SamplePrompt sample, TomlMap map) => sample with
    {
        Prompt = map.Text("prompt", sample.Prompt),
        Negative = map.Text("negative", sample.Negative),
        Width = map.OptionalWhole("width", sample.Width),
        Height = map.OptionalWhole("height", sample.Height),
        Seed = map.OptionalLong("seed", sample.Seed) ?? sample.Seed,
        Steps = map.Whole("steps", sample.Steps),
        Guidance = map.Number("guidance", sample.Guidance),
        Sampler = map.OptionalText("sampler", sample.Sampler),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Width is null or >= 64 and <= 4096, "width", $"is {Width}.", "Use 64 to 4096 px.");
        problems.Require(Height is null or >= 64 and <= 4096, "height", $"is {Height}.", "Use 64 to 4096 px.");
        problems.Require(Seed is >= AnySeed and <= uint.MaxValue, "seed", $"is {Seed}.", "Use 0 to 4294967295, or -1 for another one each time.");
        problems.Require(Steps is >= 1 and <= 1000, "steps", $"is {Steps}.", "Use 1 to 1000; 20 is usual.");
        problems.Require(Guidance is >= 0 and <= 100, "guidance", $"is {Guidance}.", "Use 1 to 30; 7 is usual.");
        if (Sampler is not null) SampleSettings.CheckSampler(problems, Sampler);
    }
}

/// <summary>The <c>[samples]</c> table: pictures drawn on the way, to see how training goes.</summary>
public sealed record SampleSettings
{
    /// <summary>Draws after every n-th step; null: not.</summary>
    public int? EverySteps { get; init; }

    /// <summary>Draws after every n-th epoch; null: not.</summary>
    public int? EveryEpochs { get; init; }

    /// <summary>Draws before the first step too. Default false.</summary>
    public bool AtFirst { get; init; }

    /// <summary>Name of the sampler, as <c>euler_a</c> or <c>DPM++ 2M Karras</c>, or one of kohya's (<c>pndm</c>, <c>dpmsolver++</c>, <c>dpmsingle</c>). Default <c>euler_a</c>.</summary>
    public string Sampler { get; init; } = "euler_a";

    /// <summary>What to draw.</summary>
    public IReadOnlyList<SamplePrompt> Prompts { get; init; } = [];

    /// <summary>The table's keys.</summary>
    public static SampleSettings Map(SampleSettings samples, TomlMap map) => samples with
    {
        EverySteps = map.OptionalWhole("every_steps", samples.EverySteps),
        EveryEpochs = map.OptionalWhole("every_epochs", samples.EveryEpochs),
        AtFirst = map.Flag("at_first", samples.AtFirst),
        Sampler = map.Text("sampler", samples.Sampler),
        Prompts = map.Tables("prompts", samples.Prompts, () => new(), SamplePrompt.Map),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        OutputSettings.Every(problems, "every_steps", EverySteps);
        OutputSettings.Every(problems, "every_epochs", EveryEpochs);
        var drawn = EverySteps is not null || EveryEpochs is not null || AtFirst;
        problems.Require(Prompts.Count > 0 || !drawn, "prompts", "is not given.", "Say what to draw: [[samples.prompts]] with prompt = \"...\".");
        if (drawn) CheckSampler(problems, Sampler);
        for (var i = 0; i < Prompts.Count; i++) Prompts[i].Check(problems.In($"prompts[{i}]"));
    }

    internal static void CheckSampler(Problems problems, string sampler)
    {
        if (sampler == "dpmsolver") problems.Add("sampler", "is dpmsolver, at which kohya stops on an exception.", "Use dpmsolver++.");
        else if (KohyaSamplers.Find(sampler) is null) SamplerChoice.Check(sampler, "sampler", problems);
    }
}
