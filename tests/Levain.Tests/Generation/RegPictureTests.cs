using Levain.Core;
using Levain.Generation;
using Xunit;

namespace Levain.Tests.Generation;

public sealed class RegPictureTests
{
    [Theory]
    [InlineData("mochi, 1girl, smile", "mochi", "1girl, smile")]
    [InlineData("1girl, Mochi, teal hair, smile", "mochi, teal hair", "1girl, smile")]
    [InlineData("a photo of sks woman on a sofa", "sks", "a photo of woman on a sofa")]
    [InlineData("a skslike thing", "sks", "a skslike thing")]
    [InlineData("", "sks", "")]
    public void A_caption_loses_its_trigger_and_nothing_else(string caption, string trigger, string left) => Assert.Equal(left, RegPicture.Without(caption, trigger));

    [Fact]
    public void Brackets_of_a_caption_are_no_weights()
    {
        var picture = RegPicture.OfCaption(new() { Seed = 420 }, "cat01", "rem (re:zero), [blue] eyes", "mochi", new(512, 640));
        Assert.Equal(@"rem \(re:zero\), \[blue\] eyes", picture.Request.Prompt);
        Assert.Equal(("rem (re:zero), [blue] eyes", 420, new PixelSize(512, 640)), (picture.Caption, picture.Request.Seed, picture.Request.Size));
    }

    [Fact]
    public void Class_pictures_take_prompts_in_turn_and_seeds_one_after_another()
    {
        var pictures = RegPicture.OfClass(new() { Seed = uint.MaxValue }, ["1girl", "woman"], 3);
        Assert.Equal([("0001", "1girl", uint.MaxValue), ("0002", "woman", 0), ("0003", "1girl", 1)], pictures.Select(picture => (picture.Name, picture.Request.Prompt, (uint)picture.Request.Seed)));
    }
}
