using Levain.Data;
using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>Sentences that a word is trained in where its pictures have no captions.</summary>
/// <remarks>Gal et al. 2022, https://arxiv.org/abs/2208.01618, section 4: CLIP's ImageNet sentences; those kohya draws from, in its order.</remarks>
internal static class WordTemplates
{
    private static readonly string[] Objects =
    [
        "a photo of a {0}", "a rendering of a {0}", "a cropped photo of the {0}", "the photo of a {0}", "a photo of a clean {0}", "a photo of a dirty {0}", "a dark photo of the {0}",
        "a photo of my {0}", "a photo of the cool {0}", "a close-up photo of a {0}", "a bright photo of the {0}", "a cropped photo of a {0}", "a photo of the {0}", "a good photo of the {0}",
        "a photo of one {0}", "a close-up photo of the {0}", "a rendition of the {0}", "a photo of the clean {0}", "a rendition of a {0}", "a photo of a nice {0}", "a good photo of a {0}",
        "a photo of the nice {0}", "a photo of the small {0}", "a photo of the weird {0}", "a photo of the large {0}", "a photo of a cool {0}", "a photo of a small {0}",
    ];

    private static readonly string[] Styles =
    [
        "a painting in the style of {0}", "a rendering in the style of {0}", "a cropped painting in the style of {0}", "the painting in the style of {0}", "a clean painting in the style of {0}",
        "a dirty painting in the style of {0}", "a dark painting in the style of {0}", "a picture in the style of {0}", "a cool painting in the style of {0}", "a close-up painting in the style of {0}",
        "a bright painting in the style of {0}", "a cropped painting in the style of {0}", "a good painting in the style of {0}", "a close-up painting in the style of {0}", "a rendition in the style of {0}",
        "a nice painting in the style of {0}", "a small painting in the style of {0}", "a weird painting in the style of {0}", "a large painting in the style of {0}",
    ];

    /// <summary>What becomes of captions: a sentence in their place, or the word with a name for each of its vectors.</summary>
    public static IReadOnlyList<CaptionReplacement> For(EmbeddingSettings word)
    {
        var names = string.Join(' ', word.Names);
        if (word.Template is not WordTemplate.None) return [new("", "", [.. (word.Template is WordTemplate.Object ? Objects : Styles).Select(sentence => sentence.Replace("{0}", names))])];
        return word.Vectors > 1 ? [new(word.Token!, names)] : [];
    }
}
