using TorchSharp;
using Xunit;

namespace Levain.Tests;

public sealed class EngineTests
{
    [Fact]
    public void The_engine_loads_and_computes()
    {
        using var scope = torch.NewDisposeScope();
        Assert.Equal(6, torch.ones(2, 3).sum().item<float>());
    }
}
