using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    // The webui's scale of 12.5 is CFG++'s 1.
    private const double CfgPpScale = 1 / 12.5;

    /// <summary>DDIM that renoises with the negative prompt's guess: prompts are followed at a fraction of the usual scale.</summary>
    /// <remarks>Chung et al. 2024, https://arxiv.org/abs/2406.08070, algorithm 2; the CFG scale is divided by 12.5, so that the usual numbers fit.</remarks>
    public static Sampler DdimCfgPp { get; } = new("DDIM CFG++", "DDIM that renoises with the negative prompt's guess", new("https://arxiv.org/abs/2406.08070"), WalkDdimCfgPp)
    {
        Aliases = ["ddim_cfgpp"],
        Eta = 0,
        Schedule = null,
    };

    private static Tensor WalkDdimCfgPp(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var predict = walk.PredictPair ?? throw new InvalidOperationException("DDIM CFG++ needs the negative prompt's guess.");
        return WalkDdim(walk, x, at =>
        {
            var pair = predict(at.X, at.Time, CfgPpScale);
            return (pair.Guided, pair.Negative);
        }).MoveToOuterDisposeScope();
    }
}
