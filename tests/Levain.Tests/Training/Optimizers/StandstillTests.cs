using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>Steps at a rate of 0, with optimizers that find their step length: upstream counts none of them.</summary>
public sealed class StandstillTests
{
    [Theory]
    [InlineData("DAdaptAdan")]
    [InlineData("DAdaptAdanIP")]
    public void After_a_first_step_at_rate_0_there_is_still_no_earlier_gradient(string name)
    {
        using var scope = NewDisposeScope();
        using var walk = new Walk(Optimizers.Named(name)!.Defaults);
        walk.Step(0);
        walk.Step(1);
        Assert.Equal(0, walk.Slot("exp_avg_diff").abs().max().item<float>());
        walk.Step(1);
        Assert.NotEqual(0, walk.Slot("exp_avg_diff").abs().max().item<float>());
    }

    [Theory]
    [InlineData("Prodigy", "d_numerator")]
    [InlineData("DAdaptAdam", "numerator_weighted")]
    [InlineData("DAdaptSGD", "numerator_weighted")]
    public void A_step_at_rate_0_in_between_leaves_everything_as_it_was(string name, string sum)
    {
        using var scope = NewDisposeScope();
        using var walk = new Walk(Optimizers.Named(name)!.Defaults);
        for (var i = 0; i < 3; i++) walk.Step(1);
        var (before, values) = (walk.Rule.Memory.ToDictionary(pair => pair.Key, pair => pair.Value.clone()), walk.Values.clone());
        Assert.NotEqual(0, before[sum].item<double>());
        walk.Step(0);
        Assert.All(before, slot => Assert.True(slot.Value.equal(walk.Slot(slot.Key)).all().item<bool>(), slot.Key));
        Assert.True(values.equal(walk.Values).all().item<bool>());
    }

    [Fact]
    public void DAdaptSGD_waits_for_a_rate()
    {
        using var scope = NewDisposeScope();
        using var walk = new Walk(Optimizers.DAdaptSgd.Defaults);
        walk.Step(0);
        Assert.Equal(0, walk.Slot("k").item<double>());
        walk.Step(1);
        Assert.True(walk.Values.isfinite().all().item<bool>());
        Assert.Equal(1, walk.Slot("k").item<double>());
    }

    // The correction takes the share that is kept now, not the option's.
    [Theory]
    [InlineData("Prodigy")]
    [InlineData("DAdaptAdam")]
    public void A_moved_momentum_moves_the_bias_correction(string name)
    {
        using var scope = NewDisposeScope();
        const double moved = 0.5;
        OptimizerOptions options(double beta1) => Optimizers.Named(name)!.Defaults switch
        {
            ProdigyOptions prodigy => prodigy with { UseBiasCorrection = true, Betas = [beta1, 0.999] },
            var dadapt => (DAdaptAdamOptions)dadapt with { UseBiasCorrection = true, Betas = [beta1, 0.999] },
        };
        using var cycled = new Walk(options(0.9));
        using var meant = new Walk(options(moved));
        cycled.Rule.Momentum = moved;
        for (var i = 0; i < 3; i++)
        {
            cycled.Step(1);
            meant.Step(1);
        }
        Assert.True(meant.Values.equal(cycled.Values).all().item<bool>());
    }

    // One tensor, and gradients that differ from step to step.
    private sealed class Walk : IDisposable
    {
        private const long Size = 12;

        private static readonly TrainedTensor whole = new(0, [3, 4]);

        private readonly Tensor gradients = zeros(Size);
        private int steps;

        public Walk(OptimizerOptions options)
        {
            using var frozen = no_grad();
            Values = Synth.Input("standstill.p", Size) * 0.1;
            Rule = options.Create(new(Values, gradients, [new(1, [whole])], 1));
        }

        public Tensor Values { get; }

        public UpdateRule Rule { get; }

        public Tensor Slot(string name) => Rule.Memory[name];

        public void Step(double rate)
        {
            using var frozen = no_grad();
            gradients.copy_(Synth.Input($"standstill.g{++steps}", Size) + 0.5);
            Rule.Step([new(0, rate, [new([whole], steps)])]);
        }

        public void Dispose() => Rule.Dispose();
    }
}
