using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>Whether the VAE's work is done once or in every step.</summary>
public enum LatentCache
{
    /// <summary>In memory, unless a subset crops at random or around faces, or changes colours.</summary>
    Auto,

    /// <summary>Not at all: every step encodes its pictures.</summary>
    Off,

    /// <summary>In memory, for this run.</summary>
    Memory,

    /// <summary>In files, for later runs too.</summary>
    Disk,
}

/// <summary>The <c>[cache]</c> table: latents computed once.</summary>
public sealed record CacheSettings
{
    /// <summary>Whether latents are kept, and where. Default auto.</summary>
    public LatentCache Latents { get; init; } = LatentCache.Auto;

    /// <summary>Pictures the VAE encodes at once. Default 1.</summary>
    public int VaeBatchSize { get; init; } = 1;

    /// <summary>The table's keys.</summary>
    public static CacheSettings Map(CacheSettings cache, TomlMap map) => cache with
    {
        Latents = map.Choice("latents", cache.Latents),
        VaeBatchSize = map.Whole("vae_batch_size", cache.VaeBatchSize),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems) =>
        problems.Require(VaeBatchSize >= 1, "vae_batch_size", $"is {VaeBatchSize}.", "Use 1 or more.");
}
