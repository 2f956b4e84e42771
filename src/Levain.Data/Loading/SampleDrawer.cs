using Levain.Core;

namespace Levain.Data;

/// <summary>Draws what chance decides about each use of a picture, in kohya's order: flip, cut, colour, caption.</summary>
internal sealed class SampleDrawer
{
    private readonly DatasetPart part;
    private readonly bool cached;
    private readonly CaptionProcessor[] captions;

    /// <param name="part">The pictures.</param>
    /// <param name="maxTrainSteps">Steps of the whole run, for the tag warm-up.</param>
    /// <param name="cached">Latents are cached: the cut is the middle one and colours stay, so neither is drawn.</param>
    /// <param name="replacements">Texts to replace in captions.</param>
    public SampleDrawer(DatasetPart part, int maxTrainSteps, bool cached, IReadOnlyList<CaptionReplacement> replacements)
    {
        (this.part, this.cached) = (part, cached);
        captions = [.. part.Subsets.Select(subset => new CaptionProcessor(subset.Options, maxTrainSteps) { Replacements = replacements })];
    }

    /// <summary>Steps of the tag warm-up of each subset, which may have become known only while drawing.</summary>
    public double[] WarmupSteps
    {
        get => [.. captions.Select(processor => processor.WarmupSteps)];
        set
        {
            for (var i = 0; i < captions.Length; i++) captions[i].WarmupSteps = value[i];
        }
    }

    /// <summary>One use of picture <paramref name="index"/>.</summary>
    public Sample Draw(int index, PixelSize size, int epoch, int step, PythonRandom random)
    {
        var image = part.Images[index];
        var options = part.Subsets[image.Subset].Options;
        var flipped = options.FlipAug && random.Random() < 0.5;
        var (resized, left, top) = Cut(image, options, size, random);
        var color = options.ColorAug && !cached ? ColorChange.Draw(random) : null;
        return new()
        {
            Image = index,
            Path = image.Path,
            Key = image.Key,
            Flipped = flipped,
            Color = color,
            LossWeight = image.IsReg ? part.Options.PriorLossWeight : 1,
            Resized = resized,
            CropLeft = left,
            CropTop = top,
            OriginalSize = IsBucketed ? image.ReadSize : size,
            ConditioningCrop = ConditioningCrop(image, size, flipped),
            Caption = captions[image.Subset].Process(image.Caption, epoch, step, random),
        };
    }

    private bool IsBucketed => cached || part.Options.EnableBucket;

    private (PixelSize Resized, int Left, int Top) Cut(DatasetImage image, SubsetOptions options, PixelSize size, PythonRandom random)
    {
        var resized = image.Choice.Resized;
        if (!IsBucketed)
        {
            if (options.FaceCropAugRange is { } range && FaceBox.Of(image.Path) is { CentreX: > 0 } face && Covers(image.ReadSize, size))
                return face.Cut(image.ReadSize, size, range, options.RandomCrop, random);
            if (options.RandomCrop && Covers(image.ReadSize, size))
            {
                // Without buckets the rows are drawn first.
                var fromTop = image.ReadSize.Height > size.Height ? (int)random.RandInt(0, image.ReadSize.Height - size.Height) : 0;
                var fromLeft = image.ReadSize.Width > size.Width ? (int)random.RandInt(0, image.ReadSize.Width - size.Width) : 0;
                return (image.ReadSize, fromLeft, fromTop);
            }
        }
        if (!options.RandomCrop || cached || !IsBucketed)
        {
            var (middleLeft, middleTop) = BucketRule.CentreCrop(resized, size);
            return (resized, middleLeft, middleTop);
        }
        var left = resized.Width > size.Width ? (int)random.RandInt(0, resized.Width - size.Width) : 0;
        var top = resized.Height > size.Height ? (int)random.RandInt(0, resized.Height - size.Height) : 0;
        return (resized, left, top);
    }

    private (int Top, int Left) ConditioningCrop(DatasetImage image, PixelSize size, bool flipped)
    {
        if (!IsBucketed) return (0, flipped ? size.Width : 0);                       // K-14
        var (left, top, right, _) = BucketRule.ConditioningCrop(size, image.ReadSize);
        return ((int)top, (int)(flipped ? size.Width - right : left));
    }

    private static bool Covers(PixelSize picture, PixelSize size) => picture.Width >= size.Width && picture.Height >= size.Height;
}
