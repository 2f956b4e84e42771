using Levain.Cli.Bench;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Cli;

/// <summary>What the bench measures must have the names and sizes of the real thing.</summary>
public sealed class SyntheticBaseTests
{
    [Fact]
    public void The_full_one_has_the_tensors_of_a_real_checkpoint()
    {
        var real = Golden.Json("keys", "sd1.json").EnumerateObject().SelectMany(part => part.Value.EnumerateArray())
            .Where(row => row.GetProperty("transform").GetString() != "drop" && row.GetProperty("shape").GetArrayLength() > 0)
            .ToDictionary(row => row.GetProperty("ldm").GetString()!, row => row.GetProperty("shape").EnumerateArray().Select(side => side.GetInt64()).ToArray());
        var made = SyntheticBase.Full.Shapes();
        Assert.Empty(made.Keys.Except(real.Keys));
        Assert.DoesNotContain(real.Keys.Except(made.Keys), name => !name.EndsWith("position_ids", StringComparison.Ordinal));
        Assert.All(made, tensor => Assert.Equal(real[tensor.Key], tensor.Value));
    }

    [Fact]
    public void The_tiny_one_opens_and_computes_finite_numbers()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(SyntheticBase.Tiny.Write(folder.Path), Compute.Cpu);
        var picture = model.Vae.Decode(model.UNet.call(ones(1, 4, 8, 8), tensor(500f).view(1), ones(1, 77, 64)));
        Assert.True(picture.isfinite().all().item<bool>());
    }
}
