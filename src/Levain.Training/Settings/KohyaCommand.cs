using System.Numerics;

namespace Levain.Training.Settings;

/// <summary>What a kohya command line said beyond the settings it stands for: kohya's metadata repeats some of it word for word.</summary>
public sealed record KohyaCommand
{
    /// <summary><c>--network_module</c>.</summary>
    public string NetworkModule { get; init; } = "networks.lora";

    /// <summary><c>--network_dim</c>; null where it was left out, and 4 is used.</summary>
    public int? NetworkDim { get; init; }

    /// <summary>Options whose values are whole numbers where a command line gives decimals and switches: those that a config file holds as such, and <c>network_alpha</c> where it was left out (K-30).</summary>
    public IReadOnlySet<string> Wholes { get; init; } = new HashSet<string>();

    /// <summary>An option's value as kohya has it and prints it: whole where it was given so.</summary>
    public object? AsGiven(string option, object? value) => value switch
    {
        double number when Wholes.Contains(option) => (BigInteger)number,
        bool flag when Wholes.Contains(option) => flag ? 1 : 0,
        _ => value,
    };

    /// <summary>Whether <c>max_token_length</c> is 75 in a config file: no command line takes what is meant without it.</summary>
    public bool ShortCaptionSaid { get; init; }

    /// <summary><c>--network_dropout</c>; LyCORIS' own argument <c>dropout</c> goes before it, but metadata tells this one.</summary>
    public double? NetworkDropout { get; init; }

    /// <summary><c>--network_args</c> in order, as written; null where there were none.</summary>
    public IReadOnlyList<KeyValuePair<string, string>>? NetworkArgs { get; init; }

    /// <summary><c>--optimizer_args</c> as Python prints them: <c>weight_decay=0.1</c>, <c>betas=(0.9, 0.99)</c>.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> OptimizerArgs { get; init; } = [];

    /// <summary>Whether the pictures come from a <c>--dataset_config</c> file.</summary>
    public bool FromDatasetFile { get; init; }

    /// <summary><c>--lr_warmup_steps</c> as Python prints it: <c>0</c>, <c>3</c>, <c>0.1</c>.</summary>
    public string WarmupSteps { get; init; } = "0";

    /// <summary><c>--lr_scheduler</c>, also where nothing looks at it.</summary>
    public string Scheduler { get; init; } = "constant";

    /// <summary><c>--lowram</c>.</summary>
    public bool LowMemory { get; init; }

    /// <summary>Whether it is of fine_tune.py, whose loss looks at no masks (K-63).</summary>
    public bool PassesOverMasks { get; init; }

    /// <summary><c>--scale_weight_norms</c> as kohya leaves it: false where the network knows no such limit, null where it was left out.</summary>
    public object? ScaleWeightNorms { get; init; }

    /// <summary><c>--validation_seed</c>, <c>--validation_split</c>, <c>--max_validation_steps</c>, <c>--validate_every_n_epochs</c> and <c>--validate_every_n_steps</c>.</summary>
    public IReadOnlyList<object?> Validation { get; init; } = [null, 0.0, null, null, null];
}
