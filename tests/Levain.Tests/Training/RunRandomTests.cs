using Levain.Core;
using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

public sealed class RunRandomTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(623)]
    [InlineData(624)]
    [InlineData(625)]
    [InlineData(1248)]
    [InlineData(100_000)]
    public void Skipping_equals_drawing(long count)
    {
        using var scope = NewDisposeScope();
        using var skipped = new RunRandom(42);
        using var drawn = new RunRandom(42);
        skipped.Skip(count);
        if (count > 0) rand(count, generator: drawn.Torch);
        Assert.Equal(rand(700, generator: drawn.Torch).data<float>().ToArray(), rand(700, generator: skipped.Torch).data<float>().ToArray());
    }

    [Fact]
    public void A_position_is_recognised()
    {
        using var scope = NewDisposeScope();
        using var random = new RunRandom(7);
        rand(1000, generator: random.Torch);
        var expected = new MersenneTwister(7);
        expected.Skip(1000);
        Assert.True(random.IsAt(expected));
        expected.Skip(1);
        Assert.False(random.IsAt(expected));
    }

    [Fact]
    public void Restored_equals_unbroken_also_between_the_two_numbers_of_a_normal_pair()
    {
        using var scope = NewDisposeScope();
        using var unbroken = new RunRandom(42);
        using var restored = new RunRandom(1);
        randn(3, generator: unbroken.Torch);        // fewer than 16: one of a pair stays in the generator's cache
        unbroken.Python.Random();
        var (python, torch) = unbroken.Save();
        restored.Restore(python, torch);
        Assert.Equal(unbroken.Python.Random(), restored.Python.Random());
        Assert.Equal(randn(5, generator: unbroken.Torch).data<float>().ToArray(), randn(5, generator: restored.Torch).data<float>().ToArray());
    }

    [Fact]
    public void The_order_of_an_epoch_is_libtorchs_permutation()
    {
        using var scope = NewDisposeScope();
        using var random = new RunRandom(42);
        using var twin = new RunRandom(42);
        var order = random.EpochOrder(100);

        var words = new MersenneTwister(42);
        words.Skip(3);
        using var shuffle = new Generator(0, CPU);
        shuffle.manual_seed(words.Next());
        Assert.Equal(randperm(100, generator: shuffle).data<long>().ToArray(), order);
        Assert.True(random.IsAt(words));
    }
}
