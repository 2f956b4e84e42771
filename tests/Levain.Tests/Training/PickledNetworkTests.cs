using Levain.Formats;
using Levain.Tests.Data;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>Networks written as kohya's <c>--save_model_as pt</c> and <c>ckpt</c> ask for.</summary>
public sealed class PickledNetworkTests
{
    [Fact]
    public void A_pickled_network_holds_the_tensors_of_the_safetensors_one()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        settings = settings with { Training = settings.Training with { Steps = 1 }, Output = settings.Output with { Precision = Precision.Bf16 } };
        var pickled = SmallRun.Make(settings with { Output = settings.Output with { Format = ResultFormat.Pt } });
        var plain = SmallRun.Make(settings);
        Assert.Equal(Path.Combine(folder.Path, "small.pt"), pickled.Result.Path);

        using var scope = NewDisposeScope();
        using var left = TensorFile.Open(plain.Result.Path!);
        using var right = TensorFile.Open(pickled.Result.Path!);
        Assert.Equal(left.Entries.Keys.Order(), right.Entries.Keys.Order());
        Assert.All(left.Entries, entry =>
        {
            Assert.Equal((entry.Value.Dtype, entry.Value.Bytes), (right.Entries[entry.Key].Dtype, right.Entries[entry.Key].Bytes));
            Assert.Equal(left.Load(entry.Key).bytes.ToArray(), right.Load(entry.Key).bytes.ToArray());
        });
    }

    [Theory]
    [InlineData("pt", ResultFormat.Pt)]
    [InlineData("ckpt", ResultFormat.Ckpt)]
    [InlineData("safetensors", ResultFormat.Auto)]
    public void Kohyas_option_chooses_the_form(string value, ResultFormat format)
    {
        var (settings, problems) = KohyaArguments.Read(["--pretrained_model_name_or_path", "m.safetensors", "--train_data_dir", ".", "--network_module", "networks.lora", "--save_model_as", value]);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("save_model_as"));
        Assert.Equal(format, settings.Output.Format);
    }
}
