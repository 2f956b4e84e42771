using Levain.Formats;
using Levain.Models;
using Levain.Networks;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>A hypernetwork on the base's attentions.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>modules/hypernetworks/hypernetwork.py</c>: acts at strength 1 while it is trained.</remarks>
internal sealed class TrainedHypernetwork : Trained
{
    private readonly Hypernetwork network;
    private readonly StableDiffusion model;

    /// <param name="model">The base; the hypernetwork acts on it until this object is disposed.</param>
    /// <param name="random">Its weights are drawn from it.</param>
    public TrainedHypernetwork(RunSettings settings, StableDiffusion model, RunRandom random)
    {
        this.model = model;
        var widths = model.UNet.AdaptableLayers.Where(layer => layer.Key.EndsWith(".to_k", StringComparison.Ordinal)).Select(layer => layer.Shape.In);
        network = Hypernetwork.Create(settings.Output.Name ?? "last", settings.Hypernetwork.ToOptions(widths), random.Torch, model.Compute.Device);
        if (settings.Hypernetwork.Weights is { } path)
        {
            using var file = TensorFile.Open(path);
            network.Fill(file);
        }
        Hypernetwork.Attach(model.UNet, [(network, 1)]);
        Groups = [new("", settings.Optimizer.UnetRate, 0, TrainedLength, [.. network.Tensors.Select(tensor => new RateTensor(tensor.Start, tensor.Shape))])];
    }

    public override Tensor Values => network.Values!;

    public override Tensor Gradients => network.Gradients!;

    public override long TrainedLength => Values.numel();

    public override IReadOnlyList<RateGroup> Groups { get; }

    public override bool Training { set { } }         // it has nothing that acts otherwise in training, and previews record no gradients

    public override bool StatesChange => false;

    public override void Forget() { }

    public override IReadOnlyList<KeyValuePair<string, double>> StepScalars(double loss, double average, (int Scaled, double Mean, double Max)? norms, IReadOnlyList<GroupRate> rates) =>
        [new("loss/current", loss), new("loss/average", average), new("lr", rates[0].Rate)];

    public override IReadOnlyList<KeyValuePair<string, double>> EpochScalars(double average, double epochSum, int batches) => [new("loss/epoch_average", average)];

    public override IResultWriter Writer(RunPlan plan, Func<RunIdentity> identity, RunOptions options) => new HypernetworkWriter(plan, network, options.Hashes);

    public override void Dispose()
    {
        Hypernetwork.Attach(model.UNet, []);
        network.Dispose();
    }

    // The base's hash is what the webui shows with a hypernetwork; computed when the first file is written.
    private sealed class HypernetworkWriter(RunPlan plan, Hypernetwork network, FileHashes hashes) : IResultWriter
    {
        private const int HashDigits = 10;

        private readonly Lazy<(string Name, string Hash)?> origin = new(() => plan.Settings.Model.Base is { } path && File.Exists(path) ? (Path.GetFileNameWithoutExtension(path), hashes.Of(path).GetAwaiter().GetResult()[..HashDigits]) : null);

        public void Write(NetworkSave save, int step, int epoch) => network.Write(save.Path, step, origin.Value, plan.Settings.Output.Precision.ToDtype() ?? ScalarType.Float32);

        public void Dispose() { }
    }
}
