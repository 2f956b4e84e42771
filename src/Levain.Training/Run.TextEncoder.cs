using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    // From the step where the text encoder stops, no gradient reaches its adapters, and so the optimizer passes over them: no decay, no moment.
    private Tensor Context(IReadOnlyList<string> texts)
    {
        if (plan.TextEncoderSteps is not { } last || step < last) return captions.Of(texts);
        if (!trained.Draws) captions.Settle();
        using var frozen = no_grad();
        return captions.Of(texts);
    }
}
