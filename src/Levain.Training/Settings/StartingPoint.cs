using Levain.Core;
using Levain.Data;

namespace Levain.Training.Settings;

/// <summary>Sensible settings for a folder of pictures, and the reason for each choice.</summary>
/// <param name="Settings">A complete run.</param>
/// <param name="Reasons">One sentence for each choice that came from the pictures.</param>
/// <remarks>
/// Numbers of the LoRA training guide this project follows: about 1000 looks at the pictures of a character (1600 where there are few), 3000 for a
/// style; rates 1e-4 for the U-Net and half of it for the text encoder; min-SNR gamma 5; buckets of 320 to 768 px at 512.
/// </remarks>
public sealed record StartingPoint(RunSettings Settings, IReadOnlyList<string> Reasons)
{
    private const int FewPictures = 35, ManyPictures = 100;
    private const int Looks = 1000, LooksOfFew = 1600, LooksOfStyle = 3000;
    private const int Rank = 32, RankOfStyle = 96;
    private const int Size = 512, Step = 64, SmallestSize = 128;
    private const int Saves = 4;
    private const int ShortestOf8 = 5, LongestOf8 = 12;         // 320 and 768 of 512
    private const double UnetRate = 1e-4, TextRate = 5e-5, TextRateOfStyle = 4e-5, Gamma = 5, Warmup = 0.05;

    /// <summary>Looks at headers and captions of <paramref name="pictures"/> and chooses.</summary>
    /// <param name="pictures">Folder of pictures, or of folders called <c>10_name</c>.</param>
    /// <param name="model">The base.</param>
    /// <param name="folder">Folder of the run file; the output goes below it.</param>
    /// <param name="seed">Seed of the run, so that it can be repeated.</param>
    /// <exception cref="DatasetException">There is no picture.</exception>
    public static StartingPoint For(string pictures, string model, string folder, long seed, CancellationToken cancel = default)
    {
        pictures = Path.GetFullPath(pictures);
        var look = new RunSettings { Dataset = new() { Folder = pictures } };
        var part = Dataset.Build(look.ToDatasetOptions(), Compat.Sound, new PythonRandom(seed), cancel: cancel).Parts[0];
        var (count, uses) = (part.Images.Count, part.TrainUses);
        var reasons = new List<string>();

        var (looks, rank, textRate) = count >= ManyPictures ? (LooksOfStyle, RankOfStyle, TextRateOfStyle) : (count < FewPictures ? LooksOfFew : Looks, Rank, TextRate);
        reasons.Add(count >= ManyPictures
            ? $"{Counted.Of(count, "picture")}: taken for a style, so {LooksOfStyle} looks at them and rank {RankOfStyle}. For a character set network.rank to {Rank}."
            : $"{Counted.Of(count, "picture")}: taken for a character, so {looks} looks at them and rank {Rank}.");
        var size = SizeOf(part.Images);
        reasons.Add(size == Size ? "Trained at 512 px, the size SD 1.x was made at." : $"Trained at {size} px: most pictures are no larger.");
        var tags = part.Images.Count(image => image.Caption.Contains(',')) * 2 > count;
        if (tags) reasons.Add("Captions are lists of tags: they are shuffled, the first stays in front.");
        if (part.Images.All(image => image.Caption.Length == 0)) reasons.Add("No picture has a caption: everything is learnt from an empty prompt. Put .txt files beside the pictures to call the subject by name.");

        var epochs = (int)Math.Max(1, (looks + uses - 1) / uses);
        return new(new()
        {
            Model = new() { Base = Path.GetFullPath(model) },
            Dataset = new()
            {
                Folder = pictures,
                Resolution = size == Size ? null : new(size, size),
                MinBucketReso = size * ShortestOf8 / 8 / Step * Step,
                MaxBucketReso = size * LongestOf8 / 8 / Step * Step,
                Shared = new() { ShuffleCaption = tags ? true : null, KeepTokens = tags ? 1 : null },
            },
            Network = new() { Rank = rank },
            Optimizer = new() { LearningRate = UnetRate, TextEncoderLearningRate = textRate },
            Schedule = new() { Type = ScheduleType.Cosine, Warmup = StepsOrShare.Part(Warmup) },
            Training = new() { Epochs = epochs, Seed = seed },
            Loss = new() { MinSnrGamma = Gamma },
            Output = new() { Folder = Path.GetFullPath("output", folder), Name = NameOf(pictures), SaveEpochRatio = Math.Min(Saves, epochs), Precision = Precision.Fp16 },
        }, reasons);
    }

    // The middle picture decides: half of them are at least as large.
    private static int SizeOf(IReadOnlyList<DatasetImage> images)
    {
        var sides = images.Select(image => Math.Sqrt(image.Size.Area)).Order().ToList();
        return sides[sides.Count / 2] >= Size - Step / 2 ? Size : Math.Max(SmallestSize, (int)sides[sides.Count / 2] / Step * Step);
    }

    // "pictures/10_sks cat" is called "sks cat".
    private static string NameOf(string pictures)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(pictures));
        return KohyaFolders.Parse(name) is ({ IsZero: false }, { Length: > 0 } words) ? words : name.Length > 0 ? name : "lora";
    }
}
