using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Guide;

/// <summary>The guide's ways to set up a run, ready to be used: a run file on top of one says only what is its own, pictures and base first.</summary>
[Catalog]
public static partial class Presets
{
    /// <summary>All presets, in name order.</summary>
    public static partial IReadOnlyList<Preset> All { get; }

    /// <summary>The preset of that name; null where there is none.</summary>
    public static Preset? Named(string name) => All.FirstOrDefault(preset => preset.Name == name);

    // Buckets move pictures up or down within these; without scaling up, the limits would say nothing.
    private static DatasetSettings Buckets(int least, int most) => new() { EnableBucket = true, MinBucketReso = least, MaxBucketReso = most, BucketNoUpscale = false };
}

/// <summary>A way to set up a run.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Summary">What it is for, in a line.</param>
/// <param name="Advice">What the guide says of it, a sentence each.</param>
/// <param name="Settings">Everything it sets; pictures, base and output are left to the run file.</param>
public sealed record Preset(string Name, string Summary, IReadOnlyList<string> Advice, RunSettings Settings);
