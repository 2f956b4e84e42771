using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

public sealed class FamilyResumeTests
{
    /// <summary>Every family.</summary>
    public static TheoryData<string> Names => [.. AdapterFamilies.All.Select(family => family.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Stopped_and_resumed_every_family_ends_with_the_bits_of_an_unbroken_run(string name)
    {
        var family = AdapterFamilies.Named(name);
        var lycoris = family.Origin is AdapterOrigin.Lycoris;
        RunSettings settings(TemporaryFolder folder) => SmallRun.Settings(folder) with
        {
            // Everything that a network remembers beside its factors: dropouts' and ranks' positions, limits of norms, the scalar.
            Network = new()
            {
                Family = name,
                Rank = family == AdapterFamilies.Boft ? 8 : 4,
                Alpha = family == AdapterFamilies.KohyaOft ? 0.01 : 2,
                Preset = lycoris && family != AdapterFamilies.Norm ? "attn-only" : null,
                Scalar = family == AdapterFamilies.LoCon || family == AdapterFamilies.Glora,
                RankDropout = 0.2,
                ModuleDropout = 0.1,
                MaxNorm = family == AdapterFamilies.KohyaDylora ? null : 0.05,
                Train = family == AdapterFamilies.KohyaOft || family == AdapterFamilies.Norm ? TrainedPart.Unet : TrainedPart.Both,
            },
            Training = new() { Steps = 3, Seed = 7, Precision = Precision.Fp32 },
        };
        using var unbroken = new TemporaryFolder();
        using var broken = new TemporaryFolder();
        var whole = SmallRun.Make(settings(unbroken));
        Assert.False(SmallRun.Make(settings(broken), stopAfter: 1).Result.Finished);
        var resumed = SmallRun.Make(settings(broken), resume: true);
        Assert.Equal(whole.Losses.Skip(1), resumed.Losses);
        Assert.True(whole.Values.AsSpan().SequenceEqual(resumed.Values), $"{name}: {whole.Values.Zip(resumed.Values).Count(pair => pair.First != pair.Second)} of {whole.Values.Length} numbers differ.");
        Assert.True(whole.Values.Any(value => value is not 0 and not 1), "Nothing was learnt.");
    }
}
