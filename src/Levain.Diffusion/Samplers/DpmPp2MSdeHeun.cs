namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary><see cref="DpmPp2MSde"/> with Heun's correction.</summary>
    /// <remarks>k-diffusion's <c>sample_dpmpp_2m_sde</c> with <c>solver_type="heun"</c>.</remarks>
    public static Sampler DpmPp2MSdeHeun { get; } = new("DPM++ 2M SDE Heun", "DPM++ 2M SDE with Heun's correction", KDiffusion,
        (walk, x) => WalkDpmPp2MSde(walk, x, (share, h) => 1 - share / h))
    {
        Aliases = ["k_dpmpp_2m_sde_heun"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Exponential,
        Brownian = true,
    };
}
