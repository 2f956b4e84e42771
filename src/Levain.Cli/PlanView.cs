using Levain.Core;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Levain.Cli;

/// <summary>A run's plan for people and for programs: what <c>check</c> prints, and <c>train</c> before it begins.</summary>
internal static class PlanView
{
    private const double Giga = 1e9, Mega = 1e6;
    private const int MostFiles = 12;

    /// <summary>The plan as a table.</summary>
    /// <param name="floor">The machine's best fp32 rate, GFLOP/s; null leaves the time out.</param>
    public static IRenderable Table(RunPlan plan, double? floor)
    {
        var (run, length, report) = (plan.Settings, plan.Length, plan.Dataset.Report);
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        Row("base", $"{Path.GetFileName(run.Model.Base)}{(run.Model.VParameterization ? ", predicts velocity" : "")}{(run.Model.Vae is { } vae ? $", VAE {Path.GetFileName(vae)}" : "")}");
        foreach (var subset in report.Subsets)
            Row(subset.IsReg ? "regularization" : "pictures", $"{subset.Images} × {subset.Repeats}  {subset.Folder}{(subset.WithoutCaption > 0 ? $"  ({subset.WithoutCaption} without a caption)" : "")}");
        foreach (var bucket in report.Buckets)
            Row(plan.Dataset.Parts.Count > 1 ? $"bucket of dataset {bucket.Part + 1}" : "bucket", $"{bucket.Size,-9} {Counted.Of(bucket.Images, "picture"),14} {Counted.Of(bucket.Batches, "batch", "batches"),14}");
        Row("length", $"{Counted.Of(length.Steps, "step")}, {Counted.Of(length.Epochs, "epoch")} of {Counted.Of(length.BatchesPerEpoch, "batch", "batches")}{(run.Training.GradientAccumulation > 1 ? $" ({Counted.Of(length.StepsPerEpoch, "step")})" : "")}");
        Row(TomlMap.Spell(run.Trains.ToString()), run.Trains is Trains.Hypernetwork ? $"layers {string.Join(", ", run.Hypernetwork.LayerStructure)} of each width, {run.Hypernetwork.Activation}"
            : run.Trains is Trains.Embedding ? $"{run.Embedding.Token}, {Counted.Of(run.Embedding.Vectors, "vector")}"
            : run.Trains is Trains.Model ? $"the whole U-Net{(run.FineTune is { TextEncoder: false } ? "" : plan.TextEncoderSteps is { } rests ? $", the text encoder for {Counted.Of(rests, "step")}" : " and text encoder")}"
            : $"{run.Network.Family}, rank {run.Network.Rank}, alpha {run.Network.EffectiveAlpha:0.###}{(run.Network.ConvRank is { } conv ? $", convolutions {conv}/{run.Network.ConvAlpha ?? 1:0.###}" : "")}, {Trained(run.Network)}");
        Row("rates", $"U-Net {run.Optimizer.UnetRate:G4}, text encoder {run.Optimizer.TextEncoderRate:G4}, {TomlMap.Spell(run.Schedule.Type.ToString())}{(plan.WarmupSteps > 0 ? $", warm-up {Counted.Of(plan.WarmupSteps, "step")}" : "")}");
        Row("latents", run.LatentCache switch { LatentCache.Off => "encoded in every step", LatentCache.Disk => "cached in files", _ => "cached in memory" });
        Row("seed", $"{plan.Seed}{(run.Compatibility is Compatibility.Kohya ? ", in kohya's order and with its mistakes" : "")}");
        var files = plan.Files;
        foreach (var file in files.Take(MostFiles)) Row(file.Reason is SaveReason.Final ? "result" : "file", $"{file.Path}  {When(file)}");
        if (files.Count > MostFiles) Row("", $"… {files.Count - MostFiles} more");
        Row("to expect", Expect(plan, floor));
        return table;

        void Row(string what, string text) => table.AddRow($"[grey]{Markup.Escape(what)}[/]", Markup.Escape(text));
    }

    /// <summary>The plan as an object for <c>--json</c>.</summary>
    public static object Json(RunPlan plan, double? floor) => new
    {
        Base = plan.Settings.Model.Base,
        plan.Seed,
        Images = plan.Dataset.Report.Images,
        Subsets = plan.Dataset.Report.Subsets,
        Buckets = plan.Dataset.Report.Buckets.Select(bucket => new { bucket.Part, bucket.Size.Width, bucket.Size.Height, bucket.Images, bucket.Uses, bucket.Batches }),
        plan.Length.Steps,
        plan.Length.Epochs,
        plan.Length.StepsPerEpoch,
        plan.Length.BatchesPerEpoch,
        plan.WarmupSteps,
        Files = plan.Files.Select(file => new { file.Path, file.Reason, After = file.Number }),
        Estimate = new { Seconds = floor is { } rate ? plan.Estimate.Seconds(rate) : (double?)null, plan.Estimate.PeakBytes, plan.Estimate.FileBytes, plan.Estimate.StepFlop },
        plan.Warnings,
    };

    private static string Expect(RunPlan plan, double? floor)
    {
        var estimate = plan.Estimate;
        var time = floor is { } rate ? $"about {Duration(estimate.Seconds(rate))}, " : "";
        return $"{time}{Math.Max(0.1, estimate.PeakBytes / Giga):0.0} GB of memory, files of {Math.Max(0.1, estimate.FileBytes / Mega):0.0} MB";
    }

    private static string Duration(double seconds) => seconds switch
    {
        < 90 => $"{seconds:0} s",
        < 5400 => $"{seconds / 60:0} min",
        _ => $"{seconds / 3600:0.0} h",
    };

    private static string Trained(NetworkSettings network) => network.Train switch
    {
        TrainedPart.Unet => "on the U-Net",
        TrainedPart.TextEncoder => "on the text encoder",
        _ => "on U-Net and text encoder",
    };

    private static string When(NetworkSave file) => file.Reason switch
    {
        SaveReason.Epoch => $"after epoch {file.Number}",
        SaveReason.Step => $"after step {file.Number:N0}",
        _ => "at the end",
    };
}
