using Levain.Formats;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Formats;

public sealed class PickleWriterTests
{
    [Fact]
    public void What_is_written_is_read_back()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder.Path, "x.pt");
        var (wide, half, whole) = (rand(3, 5), rand(2).to_type(ScalarType.BFloat16), tensor(new long[] { 1, -2 }));
        PickleWriter.Write(path, (KeyValuePair<object, object?>[])
        [
            new(768, new object?[] { (KeyValuePair<string, Tensor>[])[new("linear.0.weight", wide)], (KeyValuePair<string, Tensor>[])[new("linear.0.weight", wide.t())] }),
            new("half", half), new("whole", whole), new("name", "ünï"), new("step", 5_000_000_000), new("layer_structure", new object?[] { 1, 2, 1.5 }), new("flag", true), new("nothing", null),
        ]);
        using var file = TensorFile.Open(path);
        Assert.Equal(["768/0/linear.0.weight", "768/1/linear.0.weight", "half", "whole"], file.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.True(Same(file.Load("768/0/linear.0.weight"), wide));
        Assert.True(Same(file.Load("768/1/linear.0.weight"), wide.t()));
        Assert.True(Same(file.Load("half"), half) && Same(file.Load("whole"), whole));
        Assert.Equal(("ünï", "5000000000", "1.5", "True"), (file.Metadata["name"], file.Metadata["step"], file.Metadata["layer_structure/2"], file.Metadata["flag"]));
    }

    private static bool Same(Tensor one, Tensor other) => one.dtype == other.dtype && one.eq(other).all().item<bool>();
}
