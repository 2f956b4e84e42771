using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class EngineStartTests
{
    [Theory]
    [InlineData("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /a/libtorch_cpu.so)", "glibc 2.34")]
    [InlineData("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /a/libLibTorchSharp.so)", "GLIBCXX_3.4.32")]
    [InlineData("libgomp-98b21ff3.so.1: cannot open shared object file: No such file or directory", "libgomp-98b21ff3.so.1, which is not installed")]
    [InlineData("file too short", "libLibTorchSharp.so cannot be loaded: file too short.")]
    public void A_library_that_cannot_load_is_named_with_its_remedy(string complaint, string named)
    {
        var told = NativeLibraries.Explain(complaint, "/a/libLibTorchSharp.so");
        Assert.Contains(named, told);
        Assert.EndsWith(".", told);
    }

    [Theory]
    [InlineData("tpu", ScalarType.Float32, "device 'tpu' is not known")]
    [InlineData("cpu", ScalarType.Float16, "precision fp16 was asked for on the CPU")]
    public void What_the_machine_cannot_do_is_refused_in_words(string device, ScalarType dtype, string message) =>
        Assert.Contains(message, Assert.Throws<EngineException>(() => Levain.Models.Engine.Choose(new() { Device = device, Dtype = dtype })).Message);

    [Fact]
    public void The_cpu_computes_in_fp32_when_told_so() =>
        Assert.Equal(Compute.Cpu, Levain.Models.Engine.Choose(new() { Device = "cpu", Dtype = ScalarType.Float32 }));

    [Fact]
    public void There_is_a_core() => Assert.InRange(Processor.PhysicalCores, 1, Environment.ProcessorCount);
}
