namespace Levain.Training;

public sealed partial class Run
{
    private void Draw(int? afterEpoch)
    {
        if (settings.Samples.Prompts.Count == 0) return;
        trained.Training = false;
        try
        {
            foreach (var path in WithAverage(() => pictures.Draw(step, afterEpoch, trained.Word).ToList())) events?.Report(new PictureDrawn(path, step));
        }
        finally
        {
            trained.Training = true;
            if (latents is not null) model.ReleaseVae();        // nothing else of the run needs it
        }
    }
}
