namespace Levain.Diffusion;

public static partial class SigmaSchedules
{
    // Forge's levels for 32 steps, in fp32: Align Your Steps' ten stretched to 32 and the end brought to 0.015.
    private static readonly double[] Aligned32Sd1 =
    [
        14.615, 11.239513, 8.643631, 6.647294, 5.572509, 4.7164855, 3.9919608, 3.5195608,
        3.1349046, 2.7922878, 2.4877362, 2.2166386, 1.9750835, 1.7793171, 1.6147534, 1.4654095,
        1.314849, 1.166425, 1.0347555, 0.91573745, 0.8074817, 0.7120236, 0.621739, 0.53065205,
        0.4529096, 0.37491456, 0.27461818, 0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015,
    ];

    private static readonly double[] Aligned32Sdxl =
    [
        14.615, 11.149161, 8.505221, 6.4882717, 5.437074, 4.6039863, 3.898547, 3.2740746,
        2.7439654, 2.2996867, 1.9544852, 1.6710871, 1.4287815, 1.2318101, 1.0678965, 0.9257944,
        0.80290884, 0.6966012, 0.60436904, 0.52852553, 0.46773344, 0.41393378, 0.36258185, 0.31008518,
        0.26518926, 0.2232646, 0.17653877, 0.13959192, 0.10587381, 0.05519369, 0.02877334, 0.015,
    ];

    /// <summary>Align Your Steps' levels written out for 32 steps, down to 0.015; others interpolated in ln σ. Forge has it.</summary>
    public static SigmaSchedule AlignYourSteps32 { get; } = new("Align Your Steps 32", "Align Your Steps written out for 32 steps", 0,
        want => ToZero(Resample(want.Sdxl ? Aligned32Sdxl : Aligned32Sd1, want.Steps)));
}
