using System.Text.Json;
using Levain.Core;
using Levain.Tests.Data;
using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>What holds for every optimizer of the catalog.</summary>
public sealed class OptimizerTests(ITestOutputHelper output)
{
    private static readonly JsonElement Problem = JsonDocument.Parse("""{ "learning_rate": 0.01, "groups": [{ "names": ["A", "B"], "lr": 0.01 }, { "names": ["C", "Z", "D"], "lr": 0.01 }], "tensors": ["A", "B", "C", "Z", "D"] }""").RootElement;

    public static TheoryData<string> Names => [.. Optimizers.All.Select(optimizer => optimizer.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_walk_that_stops_and_goes_on_is_an_unbroken_one_to_the_bit(string name)
    {
        foreach (var options in Variants(name))
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var unbroken = new RecordedTrajectory(Problem, Optimizers.Named(name)!, options);
            using var first = new RecordedTrajectory(Problem, Optimizers.Named(name)!, options);
            const int stop = 7, end = 12;
            for (var step = 1; step <= stop; step++) first.Step(step);
            using var second = new RecordedTrajectory(Problem, Optimizers.Named(name)!, options);
            foreach (var tensor in first.Names) second.Value(tensor).copy_(first.Value(tensor));
            second.Rule.Restore(ThroughFile(first.Rule.Memory));
            for (var step = 1; step <= end; step++) unbroken.Step(step);
            for (var step = stop + 1; step <= end; step++) second.Step(step);

            Assert.All(unbroken.Names, tensor => Assert.True(Same(unbroken.Value(tensor), second.Value(tensor)), $"{options}: {tensor} differs."));
            var (expected, found) = (unbroken.Rule.Memory, second.Rule.Memory);
            Assert.Equal(expected.Keys, found.Keys);
            Assert.All(expected, slot => Assert.True(Same(slot.Value, found[slot.Key]), $"{options}: {slot.Key} differs."));
            Assert.True(first.Rule.Averaged() is null || Same(unbroken.Rule.Averaged()!, second.Rule.Averaged()!));
        }
    }

    // The slow twin: one pass over the processor's memory against tensor operations, which any device has. 8 steps; codes of 8 bits may fall either way.
    [Theory]
    [MemberData(nameof(Names))]
    public void One_pass_over_memory_equals_tensor_operations(string name)
    {
        foreach (var options in Variants(name))
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var fused = new RecordedTrajectory(Problem, Optimizers.Named(name)!, options);
            using var plain = new RecordedTrajectory(Problem, Optimizers.Named(name)!, options, fused: false);
            for (var step = 1; step <= 8; step++)
            {
                fused.Step(step);
                plain.Step(step);
            }
            foreach (var tensor in fused.Names)
            {
                var difference = (fused.Value(tensor) - plain.Value(tensor)).abs().flatten();
                var off = (difference > 2e-6).sum().item<long>();
                Assert.True(off <= (name.Contains("8bit") || name.Contains("Lion") ? difference.numel() / 100 : 0), $"{options}, {tensor}: {off} of {difference.numel()} are off by up to {difference.max().item<float>()}.");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_number_of_threads_changes_no_bit(string name)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var threads = get_num_threads();
        var results = new List<Tensor>();
        foreach (var count in new[] { 1, 2 })
        {
            set_num_threads(count);
            try
            {
                const long side = 320;
                var tensor = new TrainedTensor(0, [side, side]);
                var values = Synth.Input("threads.p", side * side) * 0.1;
                var gradients = Synth.Input("threads.g", side * side);
                using var rule = Optimizers.Named(name)!.Defaults.Create(new(values, gradients, [new(0.01, [tensor])], 0.01));
                for (var step = 1; step <= 3; step++)
                {
                    gradients.copy_(Synth.Input($"threads.g{step}", side * side));
                    rule.Step([new(0, 0.01, [new([tensor], step)])]);
                }
                results.Add(values);
            }
            finally { set_num_threads(threads); }
        }
        Assert.True(Same(results[0], results[1]));
    }

    [Theory]
    [InlineData("bitsandbytes.optim.AdamW", "PagedAdamW")]
    [InlineData("bitsandbytes.optim.AdamW32bit", "PagedAdamW32bit")]
    [InlineData("bitsandbytes.optim.Lion32bit", "Lion")]
    [InlineData("bitsandbytes.optim.PagedLion", "Lion")]
    public void Names_of_one_rule_make_one_walk(string name, string other)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var one = new RecordedTrajectory(Problem, Optimizers.Named(name)!, Optimizers.Named(name)!.Defaults);
        using var two = new RecordedTrajectory(Problem, Optimizers.Named(other)!, Optimizers.Named(other)!.Defaults);
        for (var step = 1; step <= 3; step++)
        {
            one.Step(step);
            two.Step(step);
        }
        Assert.All(one.Names, tensor => Assert.True(Same(one.Value(tensor), two.Value(tensor)), tensor));
    }

    // Where no floor is reached, torch's AdaFactor is the other's with a given rate; 1e-6: fp32.
    [Fact]
    public void Torchs_AdaFactor_steps_as_the_other_and_has_a_floor()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var torchs = new RecordedTrajectory(Problem, Optimizers.TorchAdaFactor, Optimizers.TorchAdaFactor.Defaults);
        using var other = new RecordedTrajectory(Problem, Optimizers.AdaFactor, (AdaFactorOptions)Optimizers.AdaFactor.Defaults with { RelativeStep = false });
        for (var step = 1; step <= 5; step++)
        {
            torchs.Step(step);
            other.Step(step);
        }
        Assert.All(torchs.Names, tensor => Assert.InRange((torchs.Value(tensor) - other.Value(tensor)).abs().max().item<float>(), 0, 1e-6));

        const double rate = 0.5, gradient = 1e-9, floor = 1e-7;
        var (values, gradients) = (zeros(4, dtype: ScalarType.Float64), full(4, gradient, dtype: ScalarType.Float64));
        var vector = new TrainedTensor(0, [4]);
        using var rule = new TorchAdaFactorOptions { Eps = [floor, 1] }.Create(new(values, gradients, [new(rate, [vector])], rate));
        rule.Step([new(0, rate, [new([vector], 1)])]);
        Assert.Equal(-rate * gradient / floor, values[0].item<double>(), 12);
    }

    // A gradient that is cut before the step is a shorter gradient.
    [Fact]
    public void Adan_clips_over_all_groups()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        const double limit = 0.5;
        Tensor walk(bool clips)
        {
            TrainedTensor[] tensors = [new(0, [8]), new(8, [4])];
            var (values, gradients) = (Synth.Input("clip.p", 12), zeros(12));
            using var rule = new AdanOptions { ClipNorm = clips ? limit : 0, Eps = 0 }.Create(new(values, gradients, [.. tensors.Select(tensor => new TrainedGroup(0.01, [tensor]))], 0.01));
            for (var step = 1; step <= 3; step++)
            {
                gradients.copy_(Synth.Input($"clip.g{step}", 12));
                if (!clips) gradients.mul_(limit / gradients.norm().item<float>());
                rule.Step([.. tensors.Select((tensor, i) => new GroupStep(i, 0.01, [new([tensor], step)]))]);
            }
            return values;
        }
        Assert.InRange((walk(true) - walk(false)).abs().max().item<float>(), 0, 1e-6);      // fp32, three steps
    }

    // bitsandbytes' AdEMAMix, number by number, with both ramps.
    [Fact]
    public void AdEMAMix_mixes_a_fast_and_a_slow_mean()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        const double rate = 0.1, decay = 0.01, alpha = 5, eps = 1e-8, beta1 = 0.9, beta2 = 0.999, beta3 = 0.9999;
        const int ramp = 4;
        var (values, gradients, tensor) = (full(3, 0.5, dtype: ScalarType.Float32), zeros(3, dtype: ScalarType.Float32), new TrainedTensor(0, [3]));
        using var rule = new AdEmaMixOptions { TAlpha = ramp, TBeta3 = ramp }.Create(new(values, gradients, [new(rate, [tensor])], rate));
        var (p, fast, slow, square) = (0.5, 0.0, 0.0, 0.0);
        for (var step = 1; step <= 6; step++)
        {
            var g = step % 2 == 0 ? 0.3 : -0.1;
            gradients.fill_(g);
            rule.Step([new(0, rate, [new([tensor], step)])]);
            var done = step / (double)ramp;
            var keep = Math.Min(Math.Exp(Math.Log(beta1) * Math.Log(beta3) / ((1 - done) * Math.Log(beta3) + done * Math.Log(beta1))), beta3);
            fast = fast * beta1 + g * (1 - beta1);
            slow = slow * keep + g * (1 - keep);
            square = square * beta2 + g * g * (1 - beta2);
            var mixed = fast / (1 - Math.Pow(beta1, step)) + Math.Min(step * alpha / ramp, alpha) * slow;
            p = (p - rate * mixed / (Math.Sqrt(square) / Math.Sqrt(1 - Math.Pow(beta2, step)) + eps)) * (1 - rate * decay);
            Assert.Equal(p, values[1].item<float>(), 1e-6);          // fp32, six steps
        }
    }

    // torch.optim.ASGD, number by number: a step is as long as the one before has made it.
    [Fact]
    public void ASGD_shortens_its_steps()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        const double lambd = 0.1, alpha = 0.75, decay = 0.01;
        var (values, gradients, tensor) = (full(3, 0.5, dtype: ScalarType.Float64), zeros(3, dtype: ScalarType.Float64), new TrainedTensor(0, [3]));
        using var rule = new AsgdOptions { Lambd = lambd, Alpha = alpha, WeightDecay = decay }.Create(new(values, gradients, [new(0.2, [tensor])], 0.2));
        var (p, length) = (0.5, 0.2);
        foreach (var (rate, step) in new[] { (0.2, 1), (0.4, 2), (0.1, 3) })
        {
            var g = 0.3 * step;
            gradients.fill_(g);
            rule.Step([new(0, rate, [new([tensor], step)])]);
            p = p * (1 - lambd * length) - (g + decay * p) * length;
            length = rate / Math.Pow(1 + lambd * rate * step, alpha);
            Assert.Equal(p, values[1].item<double>(), 1e-7);        // lengths are kept in fp32
        }
    }

    // An adapter begins with halves of zeros, whose partners have no gradient then.
    [Fact]
    public void Climbing_is_descending_turned_round()
    {
        float[] after(bool climb)
        {
            using var folder = new TemporaryFolder();
            var settings = SmallRun.Settings(folder);
            return SmallRun.Make(settings with { Optimizer = new() { Type = "SGD", LearningRate = 0.1, Options = new SgdOptions { Maximize = climb } }, Training = settings.Training with { Steps = 1 } }).Values;
        }
        var (down, up) = (after(false), after(true));
        Assert.All(down.Zip(up), pair => Assert.True(pair.First == pair.Second || pair.First == -pair.Second));
        Assert.NotEqual(down, up);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(1.001, true)]
    [InlineData(1.04, true)]
    [InlineData(1.2, false)]
    [InlineData(100, false)]
    public void A_step_length_that_creeps_has_not_started(double growth, bool stuck) => Assert.Equal(stuck, Updater.HasNotStarted(1e-6, 1e-6 * growth));

    // torch's one-cycle and cyclic schedules bring a momentum to rules that were made without one.
    [Theory]
    [InlineData("SGD")]
    [InlineData("RMSprop")]
    [InlineData("Prodigy")]
    public void A_schedule_that_moves_the_momentum_brings_one(string name)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        const double moved = 0.8;
        OptimizerOptions options(double momentum) => Optimizers.Named(name)!.Defaults switch
        {
            SgdOptions sgd => sgd with { Momentum = momentum },
            RmsPropOptions rms => rms with { Momentum = momentum },
            var prodigy => (ProdigyOptions)prodigy with { Betas = [momentum, 0.999] },
        };
        Tensor walk(OptimizerOptions options, double? momentum)
        {
            const long size = 12;
            var tensor = new TrainedTensor(0, [size]);
            var (values, gradients) = (Synth.Input("moved.p", size), zeros(size));
            using var rule = options.Create(new(values, gradients, [new(0.01, [tensor])], 0.01) { MovesMomentum = momentum is not null });
            rule.Momentum = momentum;
            for (var step = 1; step <= 3; step++)
            {
                gradients.copy_(Synth.Input($"moved.g{step}", size));
                rule.Step([new(0, 0.01, [new([tensor], step)])]);
            }
            return values;
        }
        Assert.True(Same(walk(options(moved), null), walk(options(0), moved)));
        Assert.False(Same(walk(options(0), null), walk(options(0), moved)));
    }

    // pytorch-optimizer adds a coupled decay to a gradient that it has used already.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void CAME_does_not_decay_where_decay_is_coupled(bool fused)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var usual = (CameOptions)Optimizers.Came.Defaults;
        using var plain = new RecordedTrajectory(Problem, Optimizers.Came, usual, fused: fused);
        using var coupled = new RecordedTrajectory(Problem, Optimizers.Came, usual with { WeightDecay = 0.1, WeightDecouple = false }, fused: fused);
        for (var step = 1; step <= 3; step++)
        {
            plain.Step(step);
            coupled.Step(step);
        }
        Assert.All(plain.Names, name => Assert.True(Same(plain.Value(name), coupled.Value(name)), name));
    }

    [Fact]
    public void Arguments_are_accepted_and_refused_as_kohyas_libraries_do()
    {
        var (accepted, refused) = (0, 0);
        foreach (var row in Golden.Json("optimizers", "acceptance.json").EnumerateArray())
        {
            var problems = new Problems();
            string? reason = null;
            if (RecordedTrajectory.Read(row, problems) is var (optimizer, options))
            {
                using var scope = NewDisposeScope();
                try
                {
                    using var walk = new RecordedTrajectory(row, optimizer, options);
                    for (var step = 1; step <= 2; step++) walk.Step(step);
                    if (row.TryGetProperty("ss_optimizer", out var recorded)) Assert.Equal(recorded.GetString(), RecordedTrajectory.Metadata(row));
                }
                catch (RunException exception) { reason = exception.Message; }
            }
            else reason = string.Join(" ", problems.All);
            var wanted = row.GetProperty("outcome").GetString() == "accepted";
            Assert.True(wanted == reason is null, $"{row}: {reason ?? "was accepted"}");
            if (wanted) accepted++;
            else
            {
                refused++;
                output.WriteLine($"{row.GetProperty("optimizer_type")} {row.GetProperty("optimizer_args")} {row.GetProperty("learning_rate")}: {reason}");
            }
        }
        output.WriteLine($"{accepted} accepted, {refused} refused.");
        Assert.True(accepted > 0 && refused > 0);
    }

    // An optimizer with its defaults, and with the options that choose another rule.
    private static IEnumerable<OptimizerOptions> Variants(string name)
    {
        var usual = Optimizers.Named(name)!.Defaults;
        yield return usual;
        switch (usual)
        {
            case AdamWOptions adam: yield return adam with { Amsgrad = true }; break;
            case ProdigyOptions prodigy:
                yield return prodigy with { SliceP = 11, UseBiasCorrection = true };
                yield return prodigy with { Betas = [0, 0.99], Decouple = false, WeightDecay = 0.01, SafeguardWarmup = true };
                break;
            case DAdaptAdamOptions dadapt: yield return dadapt with { Decouple = true, WeightDecay = 0.01, UseBiasCorrection = !dadapt.Preprint }; break;
            case AdaFactorOptions factor: yield return factor with { RelativeStep = false, Beta1 = 0.9, WeightDecay = 0.01 }; break;
            case RmsPropOptions rms:
                yield return rms with { Momentum = 0.9 };
                yield return rms with { Centered = true };
                yield return rms with { Momentum = 0.9, Centered = true };
                break;
            case SgdOptions sgd: yield return sgd with { Momentum = 0.9, WeightDecay = 0.01 }; break;
            case CameOptions came: yield return came with { AmsBound = true }; break;
            case MuonOptions muon: yield return muon with { AdjustLrFn = MuonScale.MatchRmsAdamw, Nesterov = false }; break;
        }
    }

    // What a snapshot on disk gives back.
    private static IReadOnlyDictionary<string, Tensor> ThroughFile(IReadOnlyDictionary<string, Tensor> memory)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "s.safetensors");
        var nothing = new Dictionary<string, string>();
        using (var stream = File.Create(path))
            new Snapshot
            {
                At = new()
                {
                    Step = 7,
                    Epoch = 1,
                    Batch = 7,
                    Losses = ([], 0),
                    Loader = new() { Epoch = 1, Order = [], Fetched = 7, Step = 7, Fetchers = [] },
                    Identity = new(1, 0, 1, nothing),
                    Fingerprint = new(nothing, nothing, nothing),
                    Machine = nothing,
                },
                NetworkValues = zeros(1),
                Slots = memory,
                Random = ([], []),
            }.Write(stream);
        return Snapshot.Read(path).Slots;
    }

    private static bool Same(Tensor left, Tensor right) => left.bytes.SequenceEqual(right.bytes);
}
