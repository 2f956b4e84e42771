using Levain.Training;

namespace Levain.Guide;

public static partial class Presets
{
    /// <summary>The easy way with Prodigy.</summary>
    public static Preset EasyProdigy { get; } = new("easy_prodigy", "As easy_dadapt, by Prodigy: a little bolder, and as good for small networks",
        [
            "Switch safeguard_warmup on with any warm-up or restarts, and give one or two epochs more.",
            "To learn more strongly raise d_coef (0.5 to 2; up to 10 for rank 8 and below, LoKr and IA³), not the learning rate.",
        ],
        Easy(new() { Type = "Prodigy", LearningRate = 1, Options = new ProdigyOptions { Decouple = true, WeightDecay = 0.01, DCoef = 2, UseBiasCorrection = true, Betas = [0.9, 0.99] } }));
}
