using Levain.Core;
using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

public sealed class ObjectiveTests
{
    // K-71
    [Fact]
    public void Without_a_timestep_between_the_limits_all_have_the_upper_one_and_nothing_is_drawn()
    {
        using var scope = NewDisposeScope();
        using var random = new RunRandom(7);
        using var only = new Generator(7);
        var noised = new Objective(new() { MinTimestep = 700, MaxTimestep = 300 }, new(), false, Compat.Kohya).Noise(zeros(3, 4, 8, 8), random);
        Assert.Equal([300, 300, 300], noised.Timesteps);
        _ = randn([3, 4, 8, 8], generator: only);
        Assert.Equal(rand(1, generator: only).item<float>(), rand(1, generator: random.Torch).item<float>());
    }
}
