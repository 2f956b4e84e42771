using System.Globalization;
using System.Text.Json;
using Levain.Core;
using Levain.Data;
using Levain.Models;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Replays;

/// <summary>One recorded run made again, every batch of it compared while it goes.</summary>
internal sealed class Replay : IBatchObserver, IProgress<RunEvent>
{
    private const double LossTolerance = 2e-5;        // other kernels moved losses by at most 7e-7
    private const double NormTolerance = 1e-4;        // relative

    // At 64 px the lowest level of the tiny U-Net is a single cell, and a group norm there looks at two numbers: where they are nearly equal, its
    // slope is 1/sqrt(eps) and rounding decides. bucket_no_upscale, batch 7: the same run with an fp64 U-Net has a gradient 1.3e-3 above the
    // recorded one, with other kernels 0.5e-3 to 1.8e-3 below; later losses part by up to 3e-5.
    private const int ShakySide = 64;
    private const double ShakyNormTolerance = 5e-3, ShakyLossTolerance = 2e-4;

    // Recorded with bitsandbytes' CPU quantiser, which is not the nearest-entry one of its CUDA kernels and of ours.
    private const double CodedLossTolerance = 5e-3;

    private readonly double lossTolerance;
    private readonly JsonElement[] steps, validation, fetched;
    private readonly double[] losses;                 // trainers other than train_network record them in logs only
    private readonly long validationSeed;
    private int nextJudged;
    private readonly MersenneTwister position;
    private readonly string what;
    private readonly bool clips;        // where nothing is clipped, no norm was recorded
    private long positionAt;
    private int next;
    private bool shaky;

    /// <summary>Whether rounding decided somewhere, see <see cref="ShakySide"/>; weights are then compared less closely.</summary>
    public bool IsShaky => shaky;

    /// <summary>How far a loss may be off.</summary>
    public double AllowedLoss => shaky ? Math.Max(ShakyLossTolerance, lossTolerance) : lossTolerance;

    private Replay(string name, JsonElement recorded, RunSettings settings, long validationSeed)
    {
        (what, steps, position) = (name, [.. recorded.GetProperty("steps").EnumerateArray()], new((uint)settings.Training.Seed!.Value));
        fetched = recorded.TryGetProperty("fetched", out var batches) ? [.. batches.EnumerateArray()] : [];
        losses = fetched.Length == 0 ? [] : [.. recorded.GetProperty("logs").EnumerateArray().Where(row => row.TryGetProperty("loss", out _)).Select(row => row.GetProperty("loss").GetDouble())];
        validation = recorded.TryGetProperty("validation", out var judgements) ? [.. judgements.EnumerateArray()] : [];
        this.validationSeed = validationSeed;
        clips = settings.Optimizer.MaxGradNorm > 0;
        lossTolerance = settings.Optimizer.Type.Contains("8bit") ? CodedLossTolerance : LossTolerance;
    }

    /// <summary>Largest difference of a loss so far.</summary>
    public double WorstLoss { get; private set; }

    /// <summary>What was logged: x, and the scalars.</summary>
    public List<(int Step, IReadOnlyList<KeyValuePair<string, double>> Scalars)> Logs { get; } = [];

    /// <summary>Seconds from the first batch to the last.</summary>
    public TimeSpan Time { get; private set; }

    /// <summary>Makes the run and compares its batches, losses and gradients.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="recorded">The recording.</param>
    /// <param name="settings">The run's settings.</param>
    /// <param name="after">What else is compared, once it is over.</param>
    public static Replay Run(string name, JsonElement recorded, RunSettings settings, Action<Levain.Training.Run, RunPlan>? after = null, Compute? compute = null)
    {
        var seed = settings.Training.Seed!.Value;
        using var random = new RunRandom(seed);
        var problems = new Problems();
        var plan = RunPlan.Make(settings, problems, random.Python);
        Assert.True(plan is not null, string.Join(Environment.NewLine, problems.All));
        using var model = StableDiffusion.Open(settings.Model.Base!, compute ?? Compute.Cpu, settings.Model.Vae, trainable: settings.Trains is Trains.Model);
        var replay = new Replay(name, recorded, settings, settings.Validation.Seed ?? seed);
        using var run = new Levain.Training.Run(plan, random, model, null, replay) { Observer = replay };
        var marks = recorded.TryGetProperty("torch_draws", out var draws) ? draws : recorded.GetProperty("marks");
        // Then come the two seeds of the loader, of two outputs each.
        if (marks.TryGetProperty("first step", out var first)) replay.At(random, first.GetInt64() - 4, "after the network was made");
        var start = TimeProvider.System.GetTimestamp();
        var result = run.Train();
        replay.Time = TimeProvider.System.GetElapsedTime(start);
        Assert.True(result.Finished);
        Assert.Equal(replay.steps.Length, replay.next);
        Assert.Equal(replay.validation.Length, replay.nextJudged);
        after?.Invoke(run, plan);
        return replay;
    }

    public void Begins(RunRandom random, Batch batch)
    {
        Assert.True(next < steps.Length, $"{what}: more than {steps.Length} batches.");
        var step = IsOther ? fetched[next] : steps[next];
        // Entries of metadata files have keys without a folder.
        Same(step, "keys", batch.Keys.Zip(step.GetProperty("keys").EnumerateArray(), (key, expected) => expected.GetString()!.StartsWith('/') ? key[key.IndexOf('/')..] : key));
        Same(step, "captions", batch.Captions);
        Assert.Equal(step.GetProperty("flips").EnumerateArray().Select(flip => flip.GetBoolean()), batch.Flips);
        shaky |= batch.Size.Width <= ShakySide && batch.Size.Height <= ShakySide;
        if (IsOther) return;
        Assert.Equal(step.GetProperty("loss_weights").EnumerateArray().Select(weight => weight.GetSingle()), batch.LossWeights);
        At(random, step.GetProperty("pos").GetInt64(), $"before batch {next}");
    }

    public void Encoded(RunRandom random)
    {
        if (IsOther) At(random, steps[next].GetProperty("pos").GetInt64(), $"behind the latents of batch {next}");
    }

    public void Ends(IReadOnlyList<int> timesteps, double loss, double? gradientNorm)
    {
        var step = steps[next];
        Assert.True(step.GetProperty("timesteps").EnumerateArray().Select(t => t.GetInt32()).SequenceEqual(timesteps), $"{what}, batch {next}: timesteps {string.Join(", ", timesteps)}, expected {step.GetProperty("timesteps")}.");
        var expected = IsOther ? losses[next] : step.GetProperty("loss").GetDouble();
        WorstLoss = Math.Max(WorstLoss, Math.Abs(loss - expected));
        Assert.True(Math.Abs(loss - expected) <= AllowedLoss, Text($"{what}, batch {next}: loss {loss}, expected {expected}."));
        if (step.TryGetProperty("grad_norm", out var norm) && norm.ValueKind == JsonValueKind.Number)
            Assert.True(gradientNorm is { } found && Math.Abs(found - norm.GetDouble()) <= (shaky ? ShakyNormTolerance : NormTolerance) * norm.GetDouble(), Text($"{what}, batch {next}: gradient {gradientNorm}, expected {norm.GetDouble()}."));
        else Assert.True(gradientNorm is null || !clips, Text($"{what}, batch {next}: an update where the recording has none."));
        next++;
    }

    public void Judges(RunRandom random, Batch batch, int timestep)
    {
        Assert.True(nextJudged < validation.Length, $"{what}: more than {validation.Length} judgements.");
        var step = validation[nextJudged];
        Assert.Equal(step.GetProperty("after_step").GetInt32(), next);
        Same(step, "keys", batch.Keys);
        Assert.Equal(step.GetProperty("timesteps")[0].GetInt32(), timestep);
        var expected = new MersenneTwister((uint)validationSeed);
        expected.Skip(step.GetProperty("pos").GetInt64());
        Assert.True(random.IsAt(expected), $"{what}: at judgement {nextJudged} the generator is not at output {step.GetProperty("pos")}.");
    }

    public void Judged(double loss)
    {
        var expected = validation[nextJudged].GetProperty("loss").GetDouble();
        Assert.True(Math.Abs(loss - expected) <= LossTolerance, Text($"{what}, judgement {nextJudged}: loss {loss}, expected {expected}."));
        nextJudged++;
    }

    // Of trainers other than train_network the batches are listed apart, as they were fetched, and positions are those behind the latents.
    private bool IsOther => fetched.Length > 0;

    public void Report(RunEvent value)
    {
        if (value is StepDone step) Logs.Add((step.Step, step.Scalars));
        if (value is EpochDone epoch) Logs.Add((epoch.Epoch, epoch.Scalars));
        if (value is Validated judged) Logs.Add((judged.Epoch ?? judged.Step, judged.Scalars));
    }

    private void At(RunRandom random, long expected, string when)
    {
        position.Skip(expected - positionAt);
        positionAt = expected;
        Assert.True(random.IsAt(position), $"{what}: {when} the generator is not at output {expected:N0}.");
    }

    private void Same(JsonElement step, string name, IEnumerable<string> found)
    {
        var expected = step.GetProperty(name).EnumerateArray().Select(text => text.GetString()!).ToList();
        Assert.True(expected.SequenceEqual(found), $"{what}, batch {next}: {name} {string.Join(" | ", found)}, expected {string.Join(" | ", expected)}.");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
