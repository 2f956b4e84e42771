using Levain.Core;
using Levain.Data;

namespace Levain.Training.Settings;

/// <summary>Whose behaviour a run follows where kohya's is an evident mistake.</summary>
public enum Compatibility
{
    /// <summary>The sound thing is done.</summary>
    Sound,

    /// <summary>kohya's numbers to the last digit, its mistakes included; docs/compat.md lists them.</summary>
    Kohya,
}

/// <summary>A run file as it was written: one record for each table. <see cref="Check"/> finds what cannot run; a plan is then made of it.</summary>
public sealed record RunSettings
{
    /// <summary>The top-level <c>compat</c>: <c>sound</c> or <c>kohya</c>. Default sound.</summary>
    public Compatibility Compatibility { get; init; } = Compatibility.Sound;

    /// <summary>The top-level <c>trains</c>: <c>network</c>, <c>model</c>, <c>embedding</c> or <c>hypernetwork</c>. Default network.</summary>
    public Trains Trains { get; init; } = Trains.Network;

    /// <summary>Whether passes through the text encoder are recorded beside the U-Net's: it is trained, or what is trained hangs on it.</summary>
    internal bool TrainsText => Trains is Trains.Embedding || Trains is Trains.Network && Network.Train is not TrainedPart.Unet || Trains is Trains.Model && FineTune.TextEncoder;

    /// <summary><c>[model]</c>: what is trained upon.</summary>
    public ModelSettings Model { get; init; } = new();

    /// <summary><c>[dataset]</c>: one folder of pictures in short, and defaults for the others.</summary>
    public DatasetSettings Dataset { get; init; } = new();

    /// <summary><c>[general]</c>: defaults of all <c>[[datasets]]</c>, as in kohya's dataset file.</summary>
    public DatasetSettings General { get; init; } = new();

    /// <summary><c>[[datasets]]</c>: several, each with its <c>[[datasets.subsets]]</c>.</summary>
    public IReadOnlyList<DatasetSettings> Datasets { get; init; } = [];

    /// <summary><c>[cache]</c>: latents computed once.</summary>
    public CacheSettings Cache { get; init; } = new();

    /// <summary><c>[network]</c>: the LoRA that is trained.</summary>
    public NetworkSettings Network { get; init; } = new();

    /// <summary><c>[finetune]</c>: how the whole model is trained.</summary>
    public FineTuneSettings FineTune { get; init; } = new();

    /// <summary><c>[embedding]</c>: the word that is trained.</summary>
    public EmbeddingSettings Embedding { get; init; } = new();

    /// <summary><c>[hypernetwork]</c>: the hypernetwork that is trained, small networks that change the tokens before attentions make keys and values of them. The result is a <c>.pt</c> for the webui's folder <c>models/hypernetworks</c>; a learning rate of 1e-5 is usual.</summary>
    public HypernetworkSettings Hypernetwork { get; init; } = new();

    /// <summary><c>[optimizer]</c>: how gradients become steps.</summary>
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary><c>[schedule]</c>: how the learning rate moves.</summary>
    public ScheduleSettings Schedule { get; init; } = new();

    /// <summary><c>[training]</c>: how long, how much at once, with which arithmetic.</summary>
    public TrainingSettings Training { get; init; } = new();

    /// <summary><c>[noise]</c>: what is added to a latent, and at which timesteps.</summary>
    public NoiseSettings Noise { get; init; } = new();

    /// <summary><c>[loss]</c>: how a prediction is judged.</summary>
    public LossSettings Loss { get; init; } = new();

    /// <summary><c>[validation]</c>: the loss of pictures that are set aside.</summary>
    public ValidationSettings Validation { get; init; } = new();

    /// <summary><c>[output]</c>: what is written, where, how often.</summary>
    public OutputSettings Output { get; init; } = new();

    /// <summary><c>[snapshots]</c>: what is kept to go on from after a stop.</summary>
    public SnapshotSettings Snapshots { get; init; } = new();

    /// <summary><c>[samples]</c>: pictures drawn on the way.</summary>
    public SampleSettings Samples { get; init; } = new();

    /// <summary><c>[log]</c>: what is noted of each step.</summary>
    public LogSettings Log { get; init; } = new();

    /// <summary>What a kohya command line said beyond these settings, for its metadata; null where the run comes from a run file.</summary>
    public KohyaCommand? Kohya { get; init; }

    /// <summary>Which of kohya's mistakes are repeated.</summary>
    public Compat Compat => Compatibility is Compatibility.Kohya ? Compat.Kohya : Compat.Sound;

    /// <summary>Datasets with every gap filled: subset, dataset, <c>[general]</c>, <c>[dataset]</c>, then the defaults.</summary>
    /// <remarks>A kohya command line fills every gap itself; only its resolution may stay open, which is a problem.</remarks>
    public IReadOnlyList<DatasetSettings> FilledDatasets
    {
        get
        {
            var defaults = Kohya is null ? DatasetSettings.Defaults : DatasetSettings.Defaults with { Resolution = null };
            return Datasets.Count > 0
                ? [.. Datasets.Select(dataset => dataset.Over(General).Over(Dataset).Over(defaults))]
                : [Dataset.Over(General).Over(defaults)];
        }
    }

    /// <summary>What the data room is asked for, one for each dataset.</summary>
    public IReadOnlyList<DatasetOptions> ToDatasetOptions() => [.. FilledDatasets.Select(dataset => dataset.ToOptions(Training.BatchSize, Loss.PriorWeight))];

    /// <summary>Whether latents are cached, and where; never <see cref="LatentCache.Auto"/>.</summary>
    public LatentCache LatentCache => Cache.Latents is not LatentCache.Auto ? Cache.Latents
        : ToDatasetOptions().Any(dataset => dataset.Subsets.Append(dataset.SubsetDefaults).Any(subset => subset.RandomCrop || subset.ColorAug || subset.FaceCropAugRange is not null)) ? LatentCache.Off : LatentCache.Memory;

    /// <summary>These settings with a seed: theirs, or <paramref name="drawn"/> where they have none.</summary>
    public RunSettings Seeded(long drawn) => Training.Seed is null ? this with { Training = Training with { Seed = drawn } } : this;

    /// <summary>The same run with the sound thing done where kohya is mistaken. Workers, which change nothing but kohya's order of pictures, are left out.</summary>
    public RunSettings Soundly() => this with { Compatibility = Compatibility.Sound, Training = Training with { LoaderWorkers = 0, PersistentWorkers = false } };

    /// <summary>All keys of a run file.</summary>
    public static RunSettings Map(RunSettings run, TomlMap map) => run with
    {
        Compatibility = map.Choice("compat", run.Compatibility),
        Trains = map.Choice("trains", run.Trains),
        Model = map.Table("model", run.Model, ModelSettings.Map),
        Dataset = map.Table("dataset", run.Dataset, DatasetSettings.MapShort),
        General = map.Table("general", run.General, DatasetSettings.MapGeneral),
        Datasets = map.Tables("datasets", run.Datasets, () => new(), DatasetSettings.Map),
        Cache = map.Table("cache", run.Cache, CacheSettings.Map),
        Network = map.Table("network", run.Network, NetworkSettings.Map),
        FineTune = map.Table("finetune", run.FineTune, FineTuneSettings.Map),
        Embedding = map.Table("embedding", run.Embedding, EmbeddingSettings.Map),
        Hypernetwork = map.Table("hypernetwork", run.Hypernetwork, HypernetworkSettings.Map),
        Optimizer = map.Table("optimizer", run.Optimizer, OptimizerSettings.Map),
        Schedule = map.Table("schedule", run.Schedule, ScheduleSettings.Map),
        Training = map.Table("training", run.Training, TrainingSettings.Map),
        Noise = map.Table("noise", run.Noise, NoiseSettings.Map),
        Loss = map.Table("loss", run.Loss, LossSettings.Map),
        Validation = map.Table("validation", run.Validation, ValidationSettings.Map),
        Output = map.Table("output", run.Output, OutputSettings.Map),
        Snapshots = map.Table("snapshots", run.Snapshots, SnapshotSettings.Map),
        Samples = map.Table("samples", run.Samples, SampleSettings.Map),
        Log = map.Table("log", run.Log, LogSettings.Map),
    };

    /// <summary>Reads a run file. Everything wrong in it is in the second part of the answer, line and column included; <see cref="Check"/> may add to it.</summary>
    /// <param name="path">The TOML file. Relative paths in it start from its folder.</param>
    /// <param name="overrides">Assignments that go before the file's: <c>network.rank=8</c>.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static (RunSettings Settings, Problems Problems) Read(string path, params IEnumerable<string> overrides) =>
        Parse(File.ReadAllText(path), Path.GetFileName(path), Path.GetDirectoryName(Path.GetFullPath(path))!, overrides);

    /// <summary>As <see cref="Read(string, IEnumerable{string})"/>, upon settings that hold where the file says nothing.</summary>
    public static (RunSettings Settings, Problems Problems) ReadUpon(RunSettings start, string path, params IEnumerable<string> overrides) =>
        Parse(start, File.ReadAllText(path), Path.GetFileName(path), Path.GetDirectoryName(Path.GetFullPath(path))!, overrides);

    /// <summary>Reads the text of a run file.</summary>
    /// <param name="name">File name shown in messages.</param>
    /// <param name="folder">Where relative paths start.</param>
    public static (RunSettings Settings, Problems Problems) Parse(string text, string name, string folder, params IEnumerable<string> overrides) =>
        Parse(new RunSettings(), text, name, folder, overrides);

    private static (RunSettings Settings, Problems Problems) Parse(RunSettings start, string text, string name, string folder, IEnumerable<string> overrides)
    {
        TomlDocument? document = null;
        var problems = new Problems(where => document?.Locate(where));
        document = TomlDocument.Parse(text, name, problems);
        foreach (var assignment in overrides) document.Set(assignment, problems);
        return (TomlReader.Read(document, start with { Output = start.Output with { Folder = Path.GetFullPath("output", folder) } }, Map, problems, folder), problems);
    }

    /// <summary>The text of a run file that says the same; settings that equal the defaults are left out.</summary>
    /// <param name="folder">Folder of the file to be written: paths below it become relative.</param>
    public string ToToml(string folder) =>
        TomlWriter.Write(this, new RunSettings { Output = new() { Folder = Path.GetFullPath("output", folder) } }, Map, folder);

    /// <summary>Adds every problem that can be seen without opening a file's contents to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        Model.Check(problems.In("model"));
        Dataset.Check(problems.In("dataset"), Compatibility is Compatibility.Kohya);
        General.Check(problems.In("general"), Compatibility is Compatibility.Kohya);
        for (var i = 0; i < Datasets.Count; i++) Datasets[i].Check(problems.In($"datasets[{i}]"), Compatibility is Compatibility.Kohya);
        problems.Require(Datasets.Count > 0 || (Dataset.Folder ?? Dataset.Shared.MetadataFile) is not null, "dataset.folder", "is not given.", "Name the folder of your pictures: folder = \"pictures\".");
        for (var i = 0; i < FilledDatasets.Count; i++)
            FilledDatasets[i].CheckFilled(problems.In(Datasets.Count > 0 ? $"datasets[{i}]" : "dataset"), Cache.Latents is LatentCache.Memory or LatentCache.Disk, Compatibility is Compatibility.Kohya);
        Cache.Check(problems.In("cache"));
        if (Trains is Trains.Network) Network.Check(problems.In("network"), Compatibility is Compatibility.Kohya);
        if (Trains is Trains.Model) CheckModel(problems);
        if (Trains is Trains.Hypernetwork) Hypernetwork.Check(problems.In("hypernetwork"));
        if (Trains is Trains.Embedding)
        {
            Embedding.Check(problems.In("embedding"));
            problems.Require(!Model.WeightedCaptions, "model.weighted_captions", "is on, which a trained word does not know.", "Leave it out.");
        }
        Optimizer.Check(problems.In("optimizer"), Compatibility is Compatibility.Kohya);
        problems.Require(Optimizer.TextEncoderStop is null || Trains is Trains.Network && Network.Train is TrainedPart.Both || Trains is Trains.Model && FineTune.TextEncoder,
            "optimizer.text_encoder_stop", $"is {Optimizer.TextEncoderStop?.Write()}, but the run does not train both U-Net and text encoder.", "It is for runs that train both parts; leave it out.");
        if (Optimizer.FollowsSchedule) Schedule.Check(problems.In("schedule"), Optimizer.LearningRate, Training.Epochs is null ? Training.Steps : null, Compatibility is Compatibility.Kohya);
        Planning.OptimizerAdvice.Check(this, problems);
        Training.Check(problems.In("training"), Compatibility is Compatibility.Kohya);
        Noise.Check(problems.In("noise"), Compatibility is Compatibility.Kohya);
        Loss.Check(problems.In("loss"), Model.VParameterization, Compatibility is Compatibility.Kohya);
        Validation.Check(problems.In("validation"), FilledDatasets.Any(dataset => dataset.ValidationSplit > 0));
        Output.Check(problems.In("output"), Trains);
        Snapshots.Check(problems.In("snapshots"), Compatibility is Compatibility.Kohya);
        Samples.Check(problems.In("samples"));
    }

    private void CheckModel(Problems problems)
    {
        problems.Require(Training.Precision is not Precision.Fp16, "training.precision", "is fp16, whose range is too small for the gradients of a whole model.", "Use bf16 where the machine has it, else fp32.");
        // K-33
        problems.Require(Compatibility is Compatibility.Sound || Cache.Latents is not LatentCache.Off || FilledDatasets.SelectMany(dataset => dataset.Subsets.Append(dataset.Shared)).All(subset => subset.MetadataFile is null),
            "cache.latents", "is off with a metadata file, at which kohya's fine_tune.py stops on an exception (K-33).", "Cache latents (--cache_latents), or set compat = \"sound\" (levain kohya --sound), where it works.");
    }
}
