using Levain.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

public sealed class NoiseScheduleTests
{
    private readonly GoldenTensors golden = new("sampling", "noise_schedule.safetensors");

    [Fact]
    public void A_trainer_s_schedule_has_the_reference_s_bits() =>
        Assert.Equal(Floats("diffusers.alphas_cumprod"), NoiseSchedule.Sd1().AlphasCumprod);

    [Fact]
    public void The_zero_terminal_schedule_ends_without_any_picture()
    {
        var schedule = NoiseSchedule.Sd1ZeroTerminal();
        Assert.Equal(0, schedule.AlphasCumprod[^1]);
        Near(Floats("kohya_ztsnr.alphas_cumprod"), [.. schedule.AlphasCumprod]);
    }

    [Fact]
    public void A_sampler_s_schedule_is_the_one_of_the_original_code()
    {
        var schedule = NoiseSchedule.Sd1ForSampling();
        Near(Floats("ldm.alphas_cumprod"), [.. schedule.AlphasCumprod]);
        Near(Floats("ldm.sigmas"), [.. schedule.Sigmas]);
        var zero = schedule.WithZeroTerminalForSampling();
        Near(Floats("webui_ztsnr.alphas_cumprod"), [.. zero.AlphasCumprod]);
        Near(Floats("webui_ztsnr.sigmas"), [.. zero.Sigmas]);
    }

    private float[] Floats(string name)
    {
        using var scope = NewDisposeScope();
        return golden[name].data<float>().ToArray();
    }

    // 1e-6 relative: the tables' tolerance in the golden README
    private static void Near(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-6 * Math.Abs(expected[i]) + 1e-9, $"[{i}] {actual[i]:R} for {expected[i]:R}");
    }
}
