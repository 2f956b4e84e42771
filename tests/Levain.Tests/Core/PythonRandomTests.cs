using Levain.Core;
using Xunit;

namespace Levain.Tests.Core;

public sealed class PythonRandomTests
{
    [Fact]
    public void Skipping_equals_drawing()
    {
        foreach (var count in new[] { 0L, 1, 623, 624, 625, 1247, 1248, 5000, 62400 })
            foreach (var before in new[] { 0, 1, 300, 624 })
            {
                var (drawn, skipped) = (new MersenneTwister(42), new MersenneTwister(42));
                for (var i = 0; i < before; i++) _ = (drawn.Next(), skipped.Next());
                for (var i = 0L; i < count; i++) drawn.Next();
                skipped.Skip(count);
                Assert.Equal(drawn.Next(), skipped.Next());
            }
    }

    [Theory]
    [InlineData(5489, 0, 12_480_625)]
    [InlineData(1, 1, 12_500_000)]
    [InlineData(42, 623, 31_199_999)]
    [InlineData(4294967295, 624, 31_200_000)]
    public void A_long_way_is_jumped_to_the_same_state(uint seed, int before, long count)
    {
        const long Walk = 6_240_000;        // short enough to be twisted through
        var (walked, jumped) = (new MersenneTwister(seed), new MersenneTwister(seed));
        walked.Skip(before);
        jumped.Skip(before);
        for (var left = count; left > 0; left -= Walk) walked.Skip(Math.Min(Walk, left));
        jumped.Skip(count);
        Assert.Equal(walked.Index, jumped.Index);
        Assert.Equal(walked.State.ToArray(), jumped.State.ToArray());
    }

    [Fact]
    public void The_generator_gives_the_reference_outputs() =>
        // First outputs of mt19937ar.c after init_by_array({0x123, 0x234, 0x345, 0x456}).
        Assert.Equal([1067595299u, 955945823, 477289528, 4107218783, 4228976476],
            Enumerable.Repeat(new MersenneTwister([0x123u, 0x234, 0x345, 0x456]), 5).Select(twister => twister.Next()));
}
