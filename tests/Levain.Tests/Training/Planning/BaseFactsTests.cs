using Levain.Core;
using Levain.Formats;
using Levain.Tests.Data;
using Levain.Training.Planning;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Planning;

public sealed class BaseFactsTests
{
    [Fact]
    public void An_inpainting_model_is_not_trained_upon()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder.Path, "inpaint.safetensors");
        Safetensors.Write(path,
        [
            KeyValuePair.Create("model.diffusion_model.input_blocks.0.0.weight", zeros(4, 9, 3, 3)),
            KeyValuePair.Create("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", zeros(2, 768)),
        ], null);
        var problems = new Problems();
        Assert.Null(BaseFacts.Read(new() { Model = new() { Base = path }, Network = new() }, problems));
        Assert.Contains("is an SD 1.x inpainting checkpoint. Pictures can be drawn with it; train upon an SD 1.x base checkpoint.", Assert.Throws<SettingsException>(problems.ThrowIfAny).Message);
    }
}
