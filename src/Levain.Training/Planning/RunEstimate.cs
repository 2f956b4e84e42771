using Levain.Data;
using Levain.Models;
using Levain.Training.Settings;

namespace Levain.Training.Planning;

/// <summary>Time and memory to expect, by arithmetic; good to about a third either way.</summary>
/// <param name="StepFlop">Floating-point operations of an average step.</param>
/// <param name="PrepareFlop">Floating-point operations before the first step: encoding pictures for the cache.</param>
/// <param name="Steps">Steps of the run.</param>
/// <param name="PeakBytes">Private memory at its peak, bytes; mapped files not counted.</param>
/// <param name="FileBytes">Size of one network file, bytes.</param>
/// <remarks>
/// A U-Net pass is 0.19 FLOP for each weight and latent cell, and 7.2 k for each pair of cells (self-attention), the latter with the root of the
/// number of weights: 804 GFLOP for SD 1.5 at 512×512. A step that trains adapters costs 2.17 passes, 3.2 where blocks are recomputed. Encoding
/// costs 1.13 TFLOP for 512×512 pixels with SD's VAE, in proportion to pixels and weights. Weights are in memory at the width they
/// compute in; in the file, where it has 16 bits and fp32 is computed, stay those of a text encoder that is not trained, and all where memory is spent leanly. Adapters take 16 bytes a number (themselves, gradient, two moments); what a pass keeps is 0.5 MB for each cell and picture,
/// a fifth of that where blocks are recomputed, with the root of the number of weights.
/// </remarks>
public sealed record RunEstimate(double StepFlop, double PrepareFlop, int Steps, long PeakBytes, long FileBytes)
{
    private const double SdUNet = 859_520_964, SdEncoder = 34_163_664;
    private const double PerWeightAndCell = 0.194, PerPairOfCells = 7.2e3;
    private const double Passes = 2.17, PassesRecomputed = 3.2;
    private const double EncodePerPixel = 1.13e12 / (512 * 512);
    private const double KeptPerCell = 0.5e6, KeptShareRecomputed = 0.2;
    private const double Program = 0.35e9;
    private const int BytesPerAdapterNumber = 16;

    /// <summary>Share of the machine's best fp32 rate that a step reaches.</summary>
    private const double Reached = 0.65;

    /// <summary>Seconds of a step that small models spend on starting thousands of operations.</summary>
    private const double Starting = 0.04;

    /// <summary>Seconds on a machine whose best fp32 rate is <paramref name="gigaflops"/> GFLOP/s (levain doctor measures it).</summary>
    public double Seconds(double gigaflops) => (StepFlop * Steps + PrepareFlop) / (gigaflops * 1e9 * Reached) + Starting * Steps;

    /// <summary>The estimate of a run.</summary>
    public static RunEstimate Of(RunSettings settings, Dataset dataset, RunLength length, BaseFacts model)
    {
        var uses = dataset.Parts.SelectMany(part => part.Buckets.Select(bucket => (bucket.Size, Uses: (double)bucket.Images.Count))).ToList();
        var scale = Math.Sqrt(model.UNet / SdUNet);
        double Pass(double cells) => PerWeightAndCell * model.UNet * cells + PerPairOfCells * scale * cells * cells;
        double Encode(double pixels) => EncodePerPixel * pixels * model.Vae / 2 / SdEncoder;
        static double Cells(Core.PixelSize size) => size.ToLatent().Width * (double)size.ToLatent().Height;

        var lean = settings.Training.Memory is MemoryPolicy.Lean;
        var perEpoch = uses.Sum(use => use.Uses * Pass(Cells(use.Size))) * (lean ? PassesRecomputed : Passes);
        // What is kept of the base is asked for one picture in every batch.
        if (settings.Loss.KeepPrompt is not null) perEpoch *= 1 + dataset.BatchCount / uses.Sum(use => use.Uses);
        var encodeEpoch = uses.Sum(use => use.Uses * Encode(use.Size.Area));
        var cached = settings.LatentCache is not LatentCache.Off;
        var encodeOnce = cached ? dataset.Parts.Sum(part => part.Images.Sum(image => Encode(image.Choice.Bucket.Area) * (part.Subsets[image.Subset].Options.FlipAug ? 2 : 1))) : 0;

        var largest = dataset.Parts.Max(part => part.Buckets.Max(bucket => Cells(bucket.Size)) * part.Options.BatchSize);
        var width = settings.Training.Precision is Precision.Fp16 or Precision.Bf16 ? 2 : 4;
        var stays = width == 4 && !model.WideNumbers && settings.Trains is not Trains.Model;
        var weights = width * ((stays && lean ? 0 : (double)model.UNet) + (stays && (lean || !settings.TrainsText) ? 0 : model.TextEncoder));
        var kept = KeptPerCell * largest * scale * (lean ? KeptShareRecomputed : 1) * width / 4;
        return new(
            (perEpoch + (cached ? 0 : encodeEpoch)) / length.StepsPerEpoch, encodeOnce, length.Steps,
            (long)(Program + weights + kept + (double)BytesPerAdapterNumber * model.Adapters),
            model.Adapters * (settings.Output.Precision is Precision.Fp16 or Precision.Bf16 ? 2 : 4));
    }
}
