using System.Globalization;
using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Models;
using Levain.Training.Planning;
using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>Draws the pictures of <c>[samples]</c> with the network as it is, always from the same seeds. It draws no number of the run's generators.</summary>
/// <param name="clock">Tells the time in file names.</param>
/// <param name="session">Seeds that are left open are drawn from it.</param>
internal sealed class SamplePictures(RunPlan plan, StableDiffusion model, TimeProvider clock, long session)
{
    private readonly PythonRandom seeds = new(session);

    private const string Folder = "sample", TimeFormat = "yyyyMMddHHmmss";

    /// <summary>Draws all prompts and gives back the files, named as kohya names them: <c>sample/NAME_e000003_00_20260131120000_1.png</c>.</summary>
    /// <param name="step">Steps made.</param>
    /// <param name="afterEpoch">The epoch that is over, where it is drawn for one, 0 before the first; then the name has it instead of the step.</param>
    /// <param name="word">The word that is trained, as it is now; null: none is.</param>
    public IEnumerable<string> Draw(int step, int? afterEpoch, TextualInversion? word)
    {
        var settings = plan.Settings;
        using var own = word;
        using var pipeline = new GenerationPipeline(model, Path.GetFileNameWithoutExtension(settings.Model.Base)) { Words = word is null ? [] : [word] };
        for (var i = 0; i < settings.Samples.Prompts.Count; i++)
        {
            var sample = settings.Samples.Prompts[i];
            var open = sample.Seed == SamplePrompt.AnySeed;
            var result = pipeline.Draw(Request(open ? sample with { Seed = seeds.RandInt(0, uint.MaxValue) } : sample));
            var name = settings.Output.Name is { } output ? output + "_" : "";
            var when = afterEpoch is { } epoch ? Text($"e{epoch:000000}") : Text($"{step:000000}");
            var time = clock.GetLocalNow().ToString(TimeFormat, CultureInfo.InvariantCulture);
            var path = Path.Combine(settings.Output.Folder, Folder, Text($"{name}{when}_{i:00}_{time}{(open ? "" : Text($"_{sample.Seed}"))}.png"));
            if (result.Request.Kohya is null) result.Save(path);
            else PictureFile.Write(path, result.Picture);           // an infotext knows the webui's samplers only
            yield return path;
        }
    }

    private GenerationRequest Request(SamplePrompt sample)
    {
        var trained = plan.Settings.FilledDatasets[0].Resolution ?? new PixelSize(DefaultSide, DefaultSide);
        var sampler = sample.Sampler ?? plan.Settings.Samples.Sampler;
        var kohya = IsWebuis(sampler) ? null : KohyaSamplers.Find(sampler);
        var size = new PixelSize(sample.Width ?? trained.Width, sample.Height ?? trained.Height);
        return new()
        {
            Prompt = sample.Prompt,
            NegativePrompt = sample.Negative,
            Seed = sample.Seed,
            Steps = sample.Steps,
            CfgScale = sample.Guidance,
            Sampler = kohya is null ? sampler : Samplers.Euler.Name,
            Kohya = kohya,
            ClipSkip = plan.Settings.Model.ClipSkip ?? 1,
            Size = size.ToLatent().ToPixels(),
        };
    }

    private const int DefaultSide = 512;

    private static bool IsWebuis(string sampler)
    {
        var problems = new Problems();
        SamplerChoice.Check(sampler, "sampler", problems);
        return !problems.Any;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
