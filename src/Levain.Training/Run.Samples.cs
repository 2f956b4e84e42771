namespace Levain.Training;

public sealed partial class Run
{
    // Pictures are drawn by the generation room; see RunOptions.DrawSamples.
    private void Draw(int? afterEpoch)
    {
        if (options.DrawSamples is not { } draw || settings.Samples.Prompts.Count == 0) return;
        network.Training = false;
        try
        {
            foreach (var path in draw(settings, model, step, afterEpoch)) events?.Report(new PictureDrawn(path, step));
        }
        finally { network.Training = true; }
    }
}
