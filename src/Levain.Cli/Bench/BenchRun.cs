using System.Diagnostics;
using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;

namespace Levain.Cli.Bench;

/// <summary>A real run over one drawn picture, with a clock on its steps.</summary>
internal sealed class BenchRun : IProgress<RunEvent>
{
    private readonly BenchScene scene;
    private double began;

    private BenchRun(BenchScene scene) => this.scene = scene;

    /// <summary>Seconds of the fastest step after the first.</summary>
    public double Fastest { get; private set; } = double.MaxValue;

    /// <summary>The run is ready for its first step.</summary>
    public TimeSpan Ready { get; private set; }

    /// <summary>The first step is done.</summary>
    public TimeSpan FirstStep { get; private set; }

    /// <summary>Trains a U-Net LoRA, or one on both parts.</summary>
    /// <param name="scene">Base, folder and engine.</param>
    /// <param name="side">Side of the picture, px.</param>
    /// <param name="rank">Rank of the LoRA.</param>
    /// <param name="part">What is trained.</param>
    /// <param name="steps">Steps, the first included.</param>
    public static BenchRun Train(BenchScene scene, int side, int rank, TrainedPart part, int steps) => Train(scene, side, new NetworkSettings { Rank = rank, Alpha = rank, Train = part }, steps);

    /// <summary>Trains a network.</summary>
    /// <param name="scene">Base, folder and engine.</param>
    /// <param name="side">Side of the picture, px.</param>
    /// <param name="network">What is trained.</param>
    /// <param name="steps">Steps, the first included.</param>
    public static BenchRun Train(BenchScene scene, int side, NetworkSettings network, int steps)
    {
        var settings = Settings(scene, side, network, steps);
        var problems = new Problems();
        using var random = new RunRandom(settings.Training.Seed!.Value);
        var plan = RunPlan.Make(settings, problems, random.Python);
        problems.ThrowIfAny();
        using var model = StableDiffusion.Open(scene.BasePath, scene.Compute);
        var bench = new BenchRun(scene);
        using var run = new Run(plan!, random, model, events: bench);
        bench.Ready = SinceStart;
        scene.MeasureFloor();
        bench.began = scene.Clock();
        run.Train();
        return bench;
    }

    /// <inheritdoc/>
    public void Report(RunEvent value)
    {
        if (value is not StepDone step) return;
        var seconds = scene.Clock() - began;
        if (step.Step == 1) FirstStep = SinceStart;         // it also allocates and chooses
        else Fastest = Math.Min(Fastest, seconds);
        if (step.Steps <= FewSteps || step.Step % FewSteps == 0) scene.MeasureFloor();
        began = scene.Clock();
    }

    // Long steps have the floor measured between any two of them.
    private const int FewSteps = 20;

    private static TimeSpan SinceStart => DateTime.Now - Process.GetCurrentProcess().StartTime;

    private static RunSettings Settings(BenchScene scene, int side, NetworkSettings network, int steps)
    {
        var pictures = Directory.CreateDirectory(Path.Combine(scene.Folder, $"pictures{side}")).FullName;
        PngFile.Write(Path.Combine(pictures, "drawn.png"), Drawn(side));
        File.WriteAllText(Path.Combine(pictures, "drawn.txt"), "a drawn picture");
        return new RunSettings
        {
            Model = new() { Base = scene.BasePath },
            Dataset = new() { Folder = pictures, Resolution = new(side, side), EnableBucket = false },
            Cache = new() { Latents = LatentCache.Memory },
            Network = network,
            Training = new() { Steps = steps, Seed = 1, Memory = scene.Compute.Memory },
            Output = new() { Folder = Path.Combine(scene.Folder, "output") },
        };
    }

    private static Picture Drawn(int side)
    {
        const int Channels = 3;
        var pixels = new byte[side * side * Channels];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = (byte)(i * i >> 7);
        return new(new(side, side), pixels);
    }
}
