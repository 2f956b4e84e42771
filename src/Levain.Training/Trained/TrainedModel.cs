using Levain.Models;
using Levain.Training.Planning;
using Levain.Training.Settings;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>The base itself: its U-Net, and its text encoder where that is trained too.</summary>
/// <remarks>
/// In fp32 the modules' weights are views into the flat buffer. In half precision they are rounded copies of it, and their gradients are brought over after
/// each backward pass. Groups and names as kohya's <c>train_db.py</c> and <c>fine_tune.py</c>.
/// </remarks>
internal sealed class TrainedModel : Trained
{
    private const string UNetName = "unet", TextName = "text_encoder1";

    private readonly RunSettings settings;
    private readonly List<Weight> weights = [];
    private readonly bool shares, trainsText;
    private readonly int? textSteps;
    private readonly int reachedLayers;
    private bool textTrains;

    private sealed record Weight(Parameter Parameter, long Start, bool OfText, int? Layer);

    /// <param name="model">Opened to be trained.</param>
    /// <param name="textSteps">Steps after which the text encoder is trained no more; null: it is trained to the end.</param>
    public TrainedModel(RunSettings settings, StableDiffusion model, int? textSteps = null)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        this.settings = settings;
        (trainsText, this.textSteps) = (settings.FineTune.TextEncoder, textSteps);
        textTrains = trainsText;
        shares = model.Compute.Dtype == ScalarType.Float32;
        reachedLayers = model.TextEncoder.Spec.Layers + 1 - (settings.Model.ClipSkip ?? 1);
        (Source, Device) = (model, model.Compute.Device);
        Collect(model.UNet, ofText: false);
        var unetLength = TrainedLength;
        if (trainsText) Collect(model.TextEncoder, ofText: true);

        Values = empty(TrainedLength, ScalarType.Float32, Device).DetachFromDisposeScope();
        Gradients = zeros(TrainedLength, ScalarType.Float32, Device).DetachFromDisposeScope();
        foreach (var weight in weights)
        {
            var (parameter, view) = (weight.Parameter, View(Values, weight));
            view.copy_(parameter);
            if (shares) parameter.set_(view);
            parameter.requires_grad_(true);
            if (shares) parameter.grad = View(Gradients, weight);
        }
        Groups = MakeGroups(unetLength);
    }

    /// <summary>The model.</summary>
    private StableDiffusion Source { get; }

    private Device Device { get; }

    public override Tensor Values { get; }

    public override Tensor Gradients { get; }

    public override long TrainedLength => weights is [.., var last] ? last.Start + last.Parameter.numel() : 0;

    public override IReadOnlyList<RateGroup> Groups { get; }

    public override bool Training
    {
        set
        {
            foreach (var weight in weights) weight.Parameter.requires_grad_(value && (!weight.OfText || textTrains));
        }
    }

    public override bool StatesChange => trainsText;

    public override void Begin(int step)
    {
        var trains = trainsText && !(step >= textSteps);
        if (trains == textTrains) return;
        textTrains = trains;
        foreach (var weight in weights.Where(weight => weight.OfText)) weight.Parameter.requires_grad_(trains);
    }

    public override void Gather()
    {
        if (shares) return;
        foreach (var weight in weights)
        {
            if (weight.Parameter.grad is not { } gradient) continue;
            using (gradient)
            {
                using var scope = NewDisposeScope();
                View(Gradients, weight).add_(gradient.to_type(ScalarType.Float32));
            }
            weight.Parameter.grad = null;
        }
    }

    public override void Forget()
    {
        if (shares) return;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var weight in weights) weight.Parameter.copy_(View(Values, weight));
    }

    public override IReadOnlyList<KeyValuePair<string, double>> StepScalars(double loss, double average, (int Scaled, double Mean, double Max)? norms, IReadOnlyList<GroupRate> rates)
    {
        var scalars = new List<KeyValuePair<string, double>> { new("loss", loss) };
        foreach (var rate in rates)
        {
            scalars.Add(new($"lr/{rate.Name}", rate.Rate));
            if (rate.Distance is { } distance) scalars.Add(new($"lr/d*lr/{rate.Name}", distance * rate.Rate));
        }
        return scalars;
    }

    public override IReadOnlyList<KeyValuePair<string, double>> EpochScalars(double average, double epochSum, int batches) => [new("loss/epoch", average)];

    public override IResultWriter Writer(RunPlan plan, Func<RunIdentity> identity, RunOptions options) => new ModelWriter(plan, this, options.Clock);

    /// <summary>The trained tensors of a part, in fp32, by the names that the part's module gives them.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> TensorsOf(ModelPart part)
    {
        var module = part is ModelPart.UNet ? (nn.Module)Source.UNet : Source.TextEncoder;
        var starts = weights.ToDictionary(weight => weight.Parameter.Handle);
        foreach (var (name, parameter) in module.named_parameters())
            yield return new(name, starts.TryGetValue(parameter.Handle, out var weight) ? View(Values, weight) : parameter.detach());
    }

    public override void Dispose()
    {
        foreach (var weight in weights)
        {
            weight.Parameter.requires_grad_(false);
            weight.Parameter.grad = null;
        }
        Gradients.Dispose();
        Values.Dispose();
    }

    private void Collect(nn.Module module, bool ofText)
    {
        const string layers = "encoder.layers.";
        foreach (var (name, parameter) in module.named_parameters())
        {
            var at = ofText ? name.IndexOf(layers, StringComparison.Ordinal) : -1;
            var layer = at < 0 ? (int?)null : int.Parse(name[(at + layers.Length)..].Split('.')[0], System.Globalization.CultureInfo.InvariantCulture);
            weights.Add(new(parameter, TrainedLength, ofText, layer));
        }
    }

    // One group unless the text encoder has a rate of its own. Layers that clip skip leaves out are never reached, nor is a text encoder that rests.
    private List<RateGroup> MakeGroups(long unetLength)
    {
        RateGroup Group(string name, double rate, Func<Weight, bool> holds, long start, long length) => new(name, rate, start, length,
            [.. weights.Where(holds).Select(weight => new RateTensor(weight.Start, weight.Parameter.shape, weight.OfText ? () => textTrains && !(weight.Layer >= reachedLayers) : null))]);
        var optimizer = settings.Optimizer;
        if (!trainsText || optimizer.TextEncoderLearningRate is not { } textRate) return [Group(UNetName, optimizer.UnetRate, _ => true, 0, TrainedLength)];
        return [Group(UNetName, optimizer.UnetRate, weight => !weight.OfText, 0, unetLength), Group(TextName, textRate, weight => weight.OfText, unetLength, TrainedLength - unetLength)];
    }

    private static Tensor View(Tensor flat, Weight weight) => flat.narrow(0, weight.Start, weight.Parameter.numel()).view(weight.Parameter.shape);
}
