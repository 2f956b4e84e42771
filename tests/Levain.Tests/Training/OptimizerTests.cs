using System.Text.Json;
using Levain.Formats;
using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>60 steps on five small tensors for every recorded optimizer that this version has: 1e-6 at every snapshot.</summary>
public sealed class OptimizerTests(ITestOutputHelper output)
{
    [Fact]
    public void Recorded_trajectories_are_followed()
    {
        var (followed, lacking) = (0, new List<string>());
        foreach (var row in Golden.Json("optimizers", "cases.json").EnumerateArray())
        {
            if (Optimizers.Named(row.GetProperty("optimizer_type").GetString()!) is not { } optimizer || Options(row) is not { } options)
            {
                lacking.Add(row.GetProperty("name").GetString()!);
                continue;
            }
            Follow(row, optimizer, options);
            followed++;
        }
        output.WriteLine($"{followed} trajectories followed, {lacking.Count} of optimizers or arguments this version lacks: {string.Join(", ", lacking)}.");
        Assert.NotEqual(0, followed);
    }

    private static void Follow(JsonElement row, Optimizer optimizer, OptimizerOptions options)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (name, rate) = (row.GetProperty("name").GetString()!, row.GetProperty("learning_rate").GetDouble());
        using var recorded = TensorFile.Open(Golden.Path("optimizers", name + ".safetensors"));
        var tensors = row.GetProperty("tensors").EnumerateArray().Select(tensor => tensor.GetString()!).Select(tensor => (Name: tensor, Shape: ShapeOf(tensor))).ToList();
        var lengths = tensors.Select(tensor => tensor.Shape.Aggregate(1L, (product, side) => product * side)).ToArray();
        Tensor flat(Func<(string Name, long[] Shape), Tensor> make) => cat([.. tensors.Select(tensor => make(tensor).flatten())]);

        var parameter = flat(tensor => tensor.Name == "Z" ? zeros(tensor.Shape) : Synth.Input("optim.p0." + tensor.Name, tensor.Shape) * 0.1);
        var target = flat(tensor => Synth.Input("optim.target." + tensor.Name, tensor.Shape));
        var scale = flat(tensor => full(tensor.Shape, tensor.Name == "C" ? 0.1 : 1));
        var slots = optimizer.Slots.Select(_ => zeros_like(parameter)).ToArray();
        // One flat buffer; groups are slices of it.
        var groups = row.GetProperty("groups") is { ValueKind: JsonValueKind.Array } list
            ? list.EnumerateArray().Select(group => (Count: group.GetProperty("names").GetArrayLength(), Rate: group.GetProperty("lr").GetDouble())).ToList()
            : [(tensors.Count, rate)];

        for (var step = 1; step <= 60; step++)
        {
            var gradient = (parameter - target) * scale + flat(tensor => Synth.Input($"optim.noise.{tensor.Name}.{step}", tensor.Shape)) * 0.3;
            if (row.GetProperty("clip_grad_norm") is { ValueKind: JsonValueKind.Number } limit)
            {
                var norm = GradientNorm.Clip(gradient, limit.GetDouble());
                Assert.Equal(row.GetProperty("grad_norm")[step - 1].GetDouble(), norm, 1e-4 * norm);
            }
            var factor = row.GetProperty("lr_mult") is { ValueKind: JsonValueKind.Array } factors ? factors[step - 1].GetDouble() : 1;
            var (first, index) = (0L, 0);
            foreach (var (count, groupRate) in groups)
            {
                var length = lengths.Skip(index).Take(count).Sum();
                optimizer.Update(options, parameter.narrow(0, first, length), gradient.narrow(0, first, length), [.. slots.Select(slot => slot.narrow(0, first, length))], groupRate * factor, step);
                (first, index) = (first + length, index + count);
            }
            if (!recorded.Entries.ContainsKey($"A.{step}")) continue;
            var start = 0L;
            for (var i = 0; i < tensors.Count; start += lengths[i++])
                Compare($"{name}, {tensors[i].Name} after {step}", recorded.Load($"{tensors[i].Name}.{step}"), parameter.narrow(0, start, lengths[i]), optimizer == Optimizers.Lion ? rate : 0);
            if (step != 10) continue;
            start = 0;
            for (var i = 0; i < tensors.Count; start += lengths[i++])
                for (var slot = 0; slot < slots.Length; slot++)
                    if (recorded.Entries.ContainsKey($"state10.{tensors[i].Name}.{optimizer.Slots[slot]}"))
                        Compare($"{name}, {optimizer.Slots[slot]}", recorded.Load($"state10.{tensors[i].Name}.{optimizer.Slots[slot]}"), slots[slot].narrow(0, start, lengths[i]), 0);
        }
    }

    // A sign may flip where a momentum is near 0: one element in a thousand may be off by two steps.
    private static void Compare(string what, Tensor expected, Tensor actual, double signStep)
    {
        var difference = (expected.flatten() - actual).abs();
        Assert.True((difference > 1e-6).sum().item<long>() <= (signStep > 0 ? Math.Ceiling(difference.numel() / 1000.0) : 0), $"{what}: off by {difference.max().item<float>()}.");
        Assert.True(difference.max().item<float>() <= 1e-6 + 2 * signStep, $"{what}: off by {difference.max().item<float>()}.");
    }

    private static OptimizerOptions? Options(JsonElement row)
    {
        var name = row.GetProperty("optimizer_type").GetString();
        var options = new OptimizerOptions { WeightDecay = name == "AdamW" ? 0.01 : 0, Beta2 = name == "Lion" ? 0.99 : 0.999 };
        foreach (var pair in row.GetProperty("optimizer_args").EnumerateArray().Select(item => item.GetString()!.Split('=')))
        {
            var numbers = pair[1].Split(',').Select(part => double.TryParse(part, out var number) ? number : double.NaN).ToList();
            switch (pair[0])
            {
                case "weight_decay": options = options with { WeightDecay = numbers[0] }; break;
                case "betas": options = options with { Beta1 = numbers[0], Beta2 = numbers[1] }; break;
                case "eps": options = options with { Epsilon = numbers[0] }; break;
                case "momentum": options = options with { Beta1 = numbers[0] }; break;
                default: return null;
            }
        }
        return options;
    }

    private static long[] ShapeOf(string name) => name switch { "A" => [24, 20], "B" => [20], "C" => [8, 4, 3, 3], "Z" => [12, 10], _ => [70, 61] };
}
