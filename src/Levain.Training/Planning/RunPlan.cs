using Levain.Core;
using Levain.Data;
using Levain.Training.Settings;

namespace Levain.Training.Planning;

/// <summary>A run that can be made: settings that were checked, pictures that were found, and everything that follows from both. Nobody checks again after it.</summary>
public sealed record RunPlan
{
    private RunPlan() { }

    /// <summary>The settings, with a seed.</summary>
    public required RunSettings Settings { get; init; }

    /// <summary>The pictures in their buckets, in the order of before the first epoch.</summary>
    public required Dataset Dataset { get; init; }

    /// <summary>The pictures to judge by; K-62: in kohya only networks are judged.</summary>
    public IReadOnlyList<DatasetPart> Judged => Settings is { Compat.OnlyNetworksJudged: true, Trains: not Trains.Network } ? [] : Dataset.Validation;

    /// <summary>How long the run is.</summary>
    public required RunLength Length { get; init; }

    /// <summary>Which network files are written, and when.</summary>
    public required NetworkSaves Saves { get; init; }

    /// <summary>What the header of the base tells.</summary>
    public required BaseFacts Base { get; init; }

    /// <summary>Time and memory to expect.</summary>
    public RunEstimate Estimate => RunEstimate.Of(Settings, Dataset, Length, Base);

    /// <summary>Seed of the run.</summary>
    public long Seed => Settings.Training.Seed!.Value;

    /// <summary>Steps of the warm-up.</summary>
    public int WarmupSteps => Settings.Schedule.Warmup.Resolve(Length.Steps);

    /// <summary>Steps that the text encoder or its adapters are trained for; null: all.</summary>
    public int? TextEncoderSteps => Settings.Optimizer.TextEncoderStop?.Resolve(Length.Steps);

    /// <summary>K-70: whether a schedule-free optimizer's training point is drawn with and saved instead of its average.</summary>
    internal bool SavesTrainingPoint => Settings.Compat.TrainingPointSaved && Settings.Trains is not Trains.Network;

    /// <summary>Steps of the decay at the end.</summary>
    public int DecaySteps => Settings.Schedule.Decay.Resolve(Length.Steps);

    /// <summary>Network files that are there when the run is over.</summary>
    public IReadOnlyList<NetworkSave> Files => Saves.Remaining(Length.StepsPerEpoch);

    /// <summary>Things the user should know, one sentence each; the run can be made all the same.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Checks everything that can be checked without a model and puts the dataset together. Only the header of the base is read.</summary>
    /// <param name="settings">Settings with a seed (<see cref="RunSettings.Seeded"/>).</param>
    /// <param name="problems">What was wrong already when the settings were read; everything found here is added.</param>
    /// <param name="random">Python's generator of the run, just seeded; left as kohya leaves it.</param>
    /// <param name="skipBroken">Goes on without pictures that cannot be read.</param>
    /// <param name="checking">How closely pictures are looked at.</param>
    /// <param name="progress">Told about each picture.</param>
    /// <param name="cancel">Stops the work.</param>
    /// <returns>The plan; null where there are problems.</returns>
    public static RunPlan? Make(RunSettings settings, Problems problems, PythonRandom random, bool skipBroken = false,
        ImageChecking checking = ImageChecking.Headers, IProgress<DataProgress>? progress = null, CancellationToken cancel = default)
    {
        if (settings.Training.Seed is null) throw new ArgumentException("A plan needs settings with a seed.");
        settings.Check(problems);
        var model = BaseFacts.Read(settings, problems);
        StartingFiles.Check(settings, problems);
        var dataset = Pictures(settings, problems, random, skipBroken, checking, progress, cancel);
        if (dataset is null || model is null || problems.Any) return null;
        var length = RunLength.Of(dataset.BatchCount, settings.Training);
        var saves = new NetworkSaves(settings.Output, length.Steps, length.Epochs, settings.Trains);
        var plan = new RunPlan { Settings = settings, Dataset = dataset, Length = length, Saves = saves, Base = model, Warnings = Warn(settings, dataset, length, saves) };
        // K-91
        problems.Require(settings is not { Compatibility: Compatibility.Kohya, Optimizer: { FollowsSchedule: true, Options: DAdaptSgdOptions } } || RateCurve.Of(plan).Rate(0, 1) > 0, "schedule",
            "begins at a rate of 0, at which kohya's DAdaptSGD stops on an exception (K-91).", "Leave the warm-up out, or set compat = \"sound\" (levain kohya --sound), where it waits for the first rate above 0.");
        // K-32
        problems.Require(settings is not { Compatibility: Compatibility.Kohya, Trains: Trains.Model, FineTune.TextEncoder: true } || !(plan.TextEncoderSteps < length.Steps), "optimizer.text_encoder_stop",
            $"is {settings.Optimizer.TextEncoderStop?.Write()}, at which kohya's train_db.py stops on an exception (K-32).", "Leave it out, or set compat = \"sound\" (levain kohya --sound), where the text encoder rests from then on.");
        problems.Require(!settings.Optimizer.FollowsSchedule || settings.Compat.OneCycleFreezes || settings.Schedule.TorchOptions?.Steps is not { } made || made >= length.Steps, "schedule.total_steps",
            $"is {settings.Schedule.TorchOptions?.Steps}, and the run has {Counted.Of(length.Steps, "step")}.", $"Use {length.Steps}.");
        problems.Require(!settings.Optimizer.FollowsSchedule || settings.Compatibility is Compatibility.Kohya || settings.Schedule.Torch is not null || settings.Schedule.Type is not ScheduleType.WarmupStableDecay || plan.WarmupSteps + plan.DecaySteps <= length.Steps, "schedule.warmup",
            $"is {Counted.Of(plan.WarmupSteps, "step")} and decay {plan.DecaySteps}, together more than the run's {length.Steps}.", "Shorten one of them.");
        return problems.Any ? null : plan;
    }

    private static Dataset? Pictures(RunSettings settings, Problems problems, PythonRandom random, bool skipBroken, ImageChecking checking, IProgress<DataProgress>? progress, CancellationToken cancel)
    {
        var before = problems.All.Count;
        var where = settings.Datasets.Count > 0 ? "datasets" : "dataset";
        if (problems.All.Any(problem => problem.Where.StartsWith("dataset", StringComparison.Ordinal))) return null;
        try
        {
            var dataset = Dataset.Build(settings.ToDatasetOptions(), settings.Compat, random, checking, progress, cancel);
            CheckCaptioning(settings, dataset, problems);
            if (settings.Compat.PicturesFitExactly && settings.LatentCache is LatentCache.Off) CheckSizes(dataset, problems);
            if (!skipBroken)
                foreach (var broken in dataset.Report.Broken) problems.Add(broken.Path, broken.Message, "Or let this run go on without it: --skip-broken.");
            return dataset;
        }
        catch (DatasetException exception)
        {
            problems.Add(exception.Path, exception.Message.StartsWith(exception.Path + ": ", StringComparison.Ordinal) ? exception.Message[(exception.Path.Length + 2)..] : exception.Message, "");
        }
        catch (ArgumentException exception) when (before == problems.All.Count)
        {
            problems.Add(where, exception.Message, "");     // limits of buckets against the resolution
        }
        return null;
    }

    private static void CheckCaptioning(RunSettings settings, Dataset dataset, Problems problems)
    {
        for (var p = 0; p < dataset.Parts.Count; p++)
        {
            var at = problems.In(settings.Datasets.Count > 0 ? $"datasets[{p}]" : "dataset");
            var subsets = dataset.Parts[p].Subsets;
            var reg = subsets.Any(subset => subset.Options.IsReg);
            at.Require(reg || subsets.All(subset => subset.Options.Captioning is not Captioning.Dreambooth), "captioning", "is \"dreambooth\" without regularization pictures.",
                "Give reg_folder: as many pictures of the class as there are to train on, made by the same base. Or use \"finetune\".");
            at.Require(!reg || subsets.All(subset => subset.Options.Captioning is not Captioning.Finetune), "captioning", "is \"finetune\" with regularization pictures.",
                "Use \"dreambooth\", or leave reg_folder out.");
        }
        foreach (var subset in dataset.Report.Subsets.Where(subset => subset is { WithoutCaption: > 0, IsReg: false }))
            if (dataset.Parts.SelectMany(part => part.Subsets).Any(used => used.Options.Captioning is Captioning.Finetune && (used.Options.MetadataFile ?? used.Options.ImageDir) == subset.Folder))
                problems.Add(subset.Folder, $"has {Counted.Of(subset.WithoutCaption, "picture")} without a caption, and captioning is \"finetune\".", "Write captions for them, or use \"auto\", where the folder's words stand in.");
    }

    // K-51
    private static void CheckSizes(Dataset dataset, Problems problems)
    {
        foreach (var part in dataset.Parts.Concat(dataset.Validation).Where(part => !part.Options.EnableBucket))
        {
            var size = part.Options.Resolution!.Value;
            var others = part.Images.Where(image => image.ReadSize != size && !(image.ReadSize.Width >= size.Width && image.ReadSize.Height >= size.Height && IsCut(part.Subsets[image.Subset].Options, image))).ToList();
            if (others.Count > 0)
                problems.Add(others[0].Path, $"is {others[0].ReadSize} px, not {size}{(others.Count > 1 ? $" ({others.Count - 1} more do not fit either)" : "")}, which kohya refuses without buckets and cached latents.",
                    "Give --enable_bucket or --cache_latents, or set compat = \"sound\" (levain kohya --sound).");
        }

        static bool IsCut(SubsetOptions options, DatasetImage image) => options.RandomCrop || options.FaceCropAugRange is not null && FaceBox.Of(image.Path) is { CentreX: > 0 };
    }

    private static List<string> Warn(RunSettings settings, Dataset dataset, RunLength length, NetworkSaves saves)
    {
        var warnings = dataset.Report.Warnings.ToList();
        if (settings.Noise.ZeroTerminalSnr && !settings.Model.VParameterization)
            warnings.Add("noise.zero_terminal_snr is made for bases that predict velocity; with this one the last timestep cannot be learnt.");
        if (settings.Training is { Steps: not null, Epochs: not null } && settings.Kohya is null)
            warnings.Add($"training.epochs decides ({Counted.Of(length.Steps, "step")}); training.steps is not looked at.");
        if (settings.Schedule.Warmup.Resolve(length.Steps) >= length.Steps)
            warnings.Add($"The warm-up lasts the whole run ({Counted.Of(length.Steps, "step")}): the learning rate is never reached.");
        if (settings.Output.SaveEverySteps > length.Steps) warnings.Add($"output.save_every_steps is {settings.Output.SaveEverySteps}, more than the run's {Counted.Of(length.Steps, "step")}: only the final file is written.");
        if (saves.EveryEpochs >= length.Epochs) warnings.Add($"Saving every {(saves.EveryEpochs == 1 ? "epoch" : $"{saves.EveryEpochs} epochs")} in a run of {length.Epochs}: only the final file is written.");
        warnings.AddRange(OptimizerAdvice.Of(settings, length.Steps));
        if (settings.Optimizer is { UnetRate: 0, TextEncoderRate: 0 }) warnings.Add("Both learning rates are 0: nothing is learnt.");
        if (dataset.Report.Broken.Count > 0) warnings.Add($"{Counted.Of(dataset.Report.Broken.Count, "picture")} that cannot be read {(dataset.Report.Broken.Count == 1 ? "is" : "are")} left out.");
        var there = saves.All(length.StepsPerEpoch).Where(save => File.Exists(save.Path)).Select(save => Path.GetFileName(save.Path)).Distinct().ToList();
        if (there.Count > 0) warnings.Add($"{string.Join(", ", there.Take(3))}{(there.Count > 3 ? $" and {there.Count - 3} more" : "")} will be written over.");
        return warnings;
    }
}
