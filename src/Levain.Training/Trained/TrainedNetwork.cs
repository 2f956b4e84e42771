using Levain.Core;
using Levain.Networks;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>A network on the base, which stays as it is.</summary>
internal sealed class TrainedNetwork : Trained
{
    private readonly RunSettings settings;
    private readonly Compat compat;

    /// <param name="network">Hung on the base here; taken off and freed with this object.</param>
    /// <param name="random">The run's generators, for dropouts.</param>
    public TrainedNetwork(Network network, RunSettings settings, RunRandom random)
    {
        (Network, this.settings, compat) = (network, settings, settings.Compat);
        network.Attach();
        network.Training = true;
        network.DropoutSource = random.Torch;
        network.RankSource = random.Python;
        Groups = [.. network.Groups(settings.Optimizer.TextEncoderRate, settings.Optimizer.UnetRate).Select(group => new RateGroup(group.Name, group.Rate, group.Start, group.Length,
            [.. group.Parameters.Select(parameter => new RateTensor(parameter.Start, parameter.Shape, () => parameter.Reached))]))];
    }

    /// <summary>The network.</summary>
    public Network Network { get; }

    public override Tensor Values => Network.Values;

    public override Tensor Gradients => Network.Gradients;

    public override long TrainedLength => Network.TrainedLength;

    public override IReadOnlyList<RateGroup> Groups { get; }

    public override bool Training { set => Network.Training = value; }

    public override void JudgeWith(PythonRandom python) => Network.JudgedRankSource = compat.ValidationVaries ? python : null;

    // Also an untrained text encoder changes from step to step while adapters on it drop out.
    public override bool StatesChange
    {
        get
        {
            var adapted = Network.Adapters.Any(adapter => adapter.Site.Part == NetworkPart.TextEncoder);
            return adapted && (settings.Optimizer.TextEncoderRate != 0 || Draws || compat.UntrainedGradientsGrow);
        }
    }

    public override bool Draws => Network.Draws;

    public override void At(IReadOnlyList<int> timesteps) => Network.Timesteps = timesteps;

    public override void Forget() => Network.Forget();

    public override void ForgetReached() => Network.ForgetReached();

    public override (int Scaled, double Mean, double Max)? LimitNorms(bool updated) =>
        settings.Network.MaxNorm is { } limit && (updated || compat.NormLimitEveryBatch) ? Network.ApplyMaxNorm(limit) : null;

    public override IReadOnlyList<KeyValuePair<string, double>> StepScalars(double loss, double average, (int Scaled, double Mean, double Max)? norms, IReadOnlyList<GroupRate> rates) =>
        Levain.Training.StepScalars.Of(loss, average, norms, Named(rates), compat.LogsNextRates, settings.Network.Train is TrainedPart.Unet);

    // K-29: kohya's LoRA-FA gives its groups no names, and more than two are numbered, from 1 where the text encoder has one.
    private IReadOnlyList<GroupRate> Named(IReadOnlyList<GroupRate> rates)
    {
        if (!compat.LogsNextRates || Network.Family != AdapterFamilies.LoraFa || rates.Count <= 2) return rates;
        var first = settings.Network.Train is TrainedPart.Unet ? 0 : 1;
        return [.. rates.Select((rate, i) => rate with { Name = $"group{i + first}" })];
    }

    public override IReadOnlyList<KeyValuePair<string, double>> EpochScalars(double average, double epochSum, int batches) => [new("loss/epoch_average", average)];

    public override IResultWriter Writer(RunPlan plan, Func<RunIdentity> identity, RunOptions options) => new NetworkWriter(plan, Network, identity, options);

    public override void Dispose() => Network.Dispose();
}
