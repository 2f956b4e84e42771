using Levain.Data;
using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    // With generators of its own, so that a run that keeps nothing and one that does see the same pictures and noise.
    private KeptPrompt? AskBase()
    {
        if (settings.Loss.KeepPrompt is not { } prompt) return null;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var own = new RunRandom(plan.Seed);
        using var states = new CaptionStates(model.TextEncoder, settings.Model, changes: false);
        return KeptPrompt.Ask(prompt, settings.Loss.KeepWeight, model, Questions(own), states.Of([prompt]));
    }

    private IEnumerable<NoisedLatents> Questions(RunRandom own)
    {
        var pictures = new ValidationLoader(plan.Dataset, plan.Length.Steps, latents, plan.Dataset.Parts);
        var asked = 0;
        while (true)
            foreach (var batch in pictures.Batches(int.MaxValue, own.Python))
            {
                using var owner = batch;
                var z = Latents(batch, own);
                for (var i = 0; i < z.shape[0]; i++)
                {
                    events?.Report(new Preparing("asking the base", asked + 1, settings.Loss.KeepSamples));
                    yield return objective.Noise(z.narrow(0, i, 1), own);
                    if (++asked == settings.Loss.KeepSamples) yield break;
                }
            }
    }
}
