using Levain.Core;
using Levain.Formats;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A network: adapters on the layers of a base, all their tensors in one flat fp32 buffer. Attaching fills the layers' slots,
/// detaching empties them; the base itself is never changed except by <see cref="Merge"/>, which <see cref="Detach"/> undoes bit for bit.
/// </summary>
public sealed partial class Network : IDisposable
{
    private const double MostNumbers = 1 << 28;       // of one adapter: 1 GB; a wider rank than the largest layer's sides comes to less

    private readonly List<Segment> segments = [];
    private readonly NetworkOptions options;
    private readonly Tensor values;
    private Tensor? gradients;
    private Generator? dropouts;
    private PythonRandom? ranks;
    private bool training;

    // A run of the flat buffer that always has one learning rate.
    private sealed record Segment(NetworkPart Part, int? Block, bool Plus, long Start, long Length, IReadOnlyList<AdapterParameter> Parameters);

    private Network(NetworkOptions options, AdapterFamily family, IReadOnlyList<Adapter> adapters)
    {
        (this.options, Family, Adapters) = (options, family, adapters);
        values = zeros(adapters.Sum(adapter => adapter.Parameters.Sum(parameter => parameter.Length)), ScalarType.Float32).DetachFromDisposeScope();
        TrainedLength = LayOut();
    }

    /// <summary>The kind of its adapters.</summary>
    public AdapterFamily Family { get; }

    /// <summary>Its adapters, the text encoder's first, in kohya's order of creation.</summary>
    public IReadOnlyList<Adapter> Adapters { get; }

    /// <summary>All tensors of all adapters, fp32, one dimension: groups one after another, tensors that are not trained last. Optimizers and snapshots work on it.</summary>
    public Tensor Values => values;

    /// <summary>Gradients of <see cref="Values"/>, element for element; made when <see cref="Training"/> is first set. Backward passes add to it.</summary>
    public Tensor Gradients => gradients ?? throw new InvalidOperationException("A network has gradients once it trains.");

    /// <summary>How many elements of <see cref="Values"/>, from the first, have gradients.</summary>
    public long TrainedLength { get; }

    /// <summary>What a loaded file had beside adapters for this base; empty for a new network.</summary>
    public IReadOnlyList<string> Notes { get; private init; } = [];

    /// <summary>Where dropouts draw their numbers while training; the run's generator. Null: nothing is dropped.</summary>
    public Generator? DropoutSource
    {
        get => dropouts;
        set
        {
            dropouts = value;
            foreach (var adapter in Adapters) adapter.DropoutSource = training ? value : null;
        }
    }

    /// <summary>Where DyLoRA draws its ranks while training: Python's generator of the run, as in kohya and LyCORIS. Null: all ranks take part.</summary>
    public PythonRandom? RankSource
    {
        get => ranks;
        set
        {
            ranks = value;
            foreach (var adapter in Adapters) adapter.RankSource = training ? value : null;
        }
    }

    /// <summary>Where DyLoRA draws its ranks in passes that train nothing, until <see cref="Training"/> is set again; null, as then: all ranks take part.</summary>
    public PythonRandom? JudgedRankSource
    {
        set
        {
            foreach (var adapter in Adapters) adapter.RankSource = training ? ranks : value;
        }
    }

    /// <summary>Whether a training pass draws random numbers: some adapter drops out, or draws its ranks.</summary>
    public bool Draws => Adapters.Any(adapter => adapter is RankPieces || adapter.Numbers.Drops);

    /// <summary>Timestep of each picture in the batch that is passed through the U-Net, for families whose rank follows the noise; null: full rank.</summary>
    public IReadOnlyList<int>? Timesteps
    {
        set
        {
            foreach (var adapter in Adapters) adapter.Timesteps = adapter.Site.Part == NetworkPart.UNet ? value : null;
        }
    }

    /// <summary>Whether passes are training steps: gradients are collected and dropouts drawn. Off for previews and validation; off at first.</summary>
    public bool Training
    {
        get => training;
        set
        {
            training = value;
            (DropoutSource, RankSource) = (dropouts, ranks);
            if (!value) Timesteps = null;
            if (value && gradients is null)
            {
                gradients = zeros_like(values).DetachFromDisposeScope();
                foreach (var parameter in Adapters.SelectMany(adapter => adapter.Parameters))
                    if (!parameter.IsFrozen) parameter.BindGradient(gradients);
            }
            Forget();
        }
    }

    /// <summary>A new network with the family's initial values.</summary>
    /// <param name="options">Family, sizes and parts.</param>
    /// <param name="layers">The base's layers.</param>
    /// <param name="generator">Drawn from in kohya's order, for the text encoder first; also for a part that is not trained, as kohya creates it and then drops it.</param>
    /// <exception cref="SettingsException">No layer of the base is adapted, or one of them cannot be with this rank.</exception>
    public static Network Create(NetworkOptions options, ModelLayers layers, Generator generator)
    {
        var family = AdapterFamilies.Named(options.Family);
        var targets = family.Targets(options);
        var (made, problems) = (new List<Adapter>(), new Problems());
        foreach (var site in layers.Sites)
        {
            if (options.AdapterAt(site, targets) is not { } chosen) continue;
            if (chosen.Family.Check(site, chosen.Numbers) is { } problem) problems.Add("network." + problem.Where, problem.What, problem.Fix);
            else made.Add(chosen.Family.Create(site, chosen.Numbers));
            if (!problems.Any && made[^1].Parameters.Sum(parameter => parameter.Shape.Aggregate(1.0, (product, side) => product * side)) is > MostNumbers and var many)
                problems.Add("network.rank", $"is {chosen.Numbers.Rank}, which makes {many:0.0e0} numbers for {site.Layer.Key} alone.", "Use 1 to 1024; only LoKr has a use for a rank beyond every side.");
            if (problems.Any) break;
        }
        problems.ThrowIfAny();

        bool trains(Adapter adapter) => adapter.Site.Part == NetworkPart.UNet ? options.TrainUNet : options.TrainTextEncoder;
        var kept = made.Where(trains).ToList();
        if (kept.Count == 0)
            throw new SettingsException([new("network", $"fits no layer of this base ({layers.TextEncoder.Count} in the text encoder, {layers.UNet.Count} in the U-Net).",
                "Look at rank, blocks and the trained parts.")]);

        var network = new Network(options, family, kept);
        foreach (var adapter in made)
        {
            if (trains(adapter)) adapter.Initialize(generator);
            else InitializeAndDrop(adapter, generator);
        }
        return network;
    }

    /// <summary>A network from a file, in any spelling of <see cref="LayerNames"/>. A file that adapts only some layers is a complete network.</summary>
    /// <param name="file">The file; may be disposed afterwards.</param>
    /// <param name="layers">The base's layers.</param>
    /// <param name="options">What training it further needs beside its tensors: dropouts, block rates, LoRA+. Null: nothing.</param>
    /// <exception cref="CheckpointException">Nothing in it fits the base, or it holds a kind of adapter or model this version lacks; the message names it.</exception>
    public static Network Load(TensorFile file, ModelLayers layers, NetworkOptions? options = null)
    {
        var (adapters, notes) = NetworkFile.Read(file, layers, options is null ? null : AdapterFamilies.Named(options.Family));
        var network = new Network(options ?? new(), adapters[0].Adapter.Family, [.. adapters.Select(pair => pair.Adapter)]) { Notes = notes };
        foreach (var (adapter, parts) in adapters)
        {
            if (options is not null) adapter.TakeDropouts(options);
            adapter.Load(parts);
        }
        return network;
    }

    // One adapter by itself, filled from parts where there are any.
    internal static Network Of(AdapterFamily family, Adapter adapter, AdapterParts? parts)
    {
        var network = new Network(new(), family, [adapter]);
        if (parts is not null) adapter.Load(parts);
        return network;
    }

    /// <summary>Hangs the network into the layers, beside others that are there; attached already, it changes its strength.</summary>
    /// <param name="strength">How strongly; null: as trained.</param>
    /// <param name="weightOnce">Whether passes without gradients use weights that are patched once: right for many passes at one strength. By default each adapter decides by what one pass costs.</param>
    public void Attach(NetworkStrength? strength = null, bool weightOnce = false) => Hang(strength ?? NetworkStrength.Full, merge: false, weightOnce);

    /// <summary>Writes the deltas into the base's own weights, keeping the old bits until <see cref="Detach"/>. Computed in fp32, rounded once.</summary>
    public void Merge(NetworkStrength? strength = null) => Hang(strength ?? NetworkStrength.Full, merge: true, once: false);

    /// <summary>Whether networks other than <paramref name="known"/> hang on any of these layers.</summary>
    public static bool OthersOn(IEnumerable<IAdaptableLayer> layers, IReadOnlyCollection<Network> known) =>
        layers.Any(layer => layer.Patch is LayerSlot slot && slot.HoldsOther(known));

    /// <summary>Takes the network off, merged or not: the layers are as before, bit for bit.</summary>
    public void Detach()
    {
        foreach (var adapter in Adapters)
            if (adapter.Site.Layer.Patch is LayerSlot slot) slot.Remove(this);
    }

    /// <summary>Says that <see cref="Values"/> were written to: weights patched with the old ones are forgotten. Setting <see cref="Training"/> says it too.</summary>
    public void Forget()
    {
        foreach (var adapter in Adapters)
            if (adapter.Site.Layer.Patch is LayerSlot slot) slot.Forget();
    }

    /// <summary>Sets all gradients to zero, keeping their memory.</summary>
    public void ZeroGradients()
    {
        using var frozen = no_grad();
        Gradients.zero_();
        ForgetReached();
    }

    /// <summary>Says that a new gradient begins: no adapter has been reached by it.</summary>
    public void ForgetReached()
    {
        foreach (var parameter in Adapters.SelectMany(adapter => adapter.Parameters)) parameter.Reached = false;
    }

    /// <summary>Learning rates for an optimizer, in kohya's order. Groups of rate 0 are left out: their adapters stay as they are, in the network and in its file.</summary>
    /// <param name="textEncoderRate">Rate of the text encoder's adapters.</param>
    /// <param name="unetRate">Rate of the U-Net's adapters, before block weights.</param>
    public IReadOnlyList<ParameterGroup> Groups(double textEncoderRate, double unetRate)
    {
        var groups = new List<ParameterGroup>();
        foreach (var segment in segments)
        {
            var rate = segment.Part == NetworkPart.UNet ? unetRate : textEncoderRate;
            if (segment.Block is { } block) rate *= options.BlockRates!.Weights[block];
            if (segment.Plus) rate *= options.PlusRatio(segment.Part)!.Value;
            if (rate == 0 && !KeepsIdleGroup(segment)) continue;
            var name = segment.Part == NetworkPart.TextEncoder ? "textencoder" : segment.Block is { } index ? $"unet_block{index}" : "unet";
            groups.Add(new(segment.Plus ? name + " plus" : name, rate, segment.Start, segment.Length, segment.Parameters));
        }
        return groups;
    }

    // K-38b: kohya's LoRA-FA hands the optimizer groups of rate 0 too, unless they are blocks, so that their gradients are cleared.
    private bool KeepsIdleGroup(Segment segment) => Family == AdapterFamilies.LoraFa && options.Form.FrozenGradients && segment.Block is null;

    /// <summary>Limits the Frobenius norm of every ΔW, as kohya's <c>--scale_weight_norms</c>: both factors are multiplied by the square root of the ratio.</summary>
    /// <param name="limit">Largest norm allowed; kohya's guide uses 1.</param>
    /// <returns>How many were scaled, and mean and largest norm afterwards.</returns>
    public (int Scaled, double Mean, double Max) ApplyMaxNorm(double limit)
    {
        var (scaled, sum, count, max) = (0, 0.0, 0, 0.0);
        // LyCORIS draws for the U-Net first.
        foreach (var adapter in Adapters.OrderBy(adapter => Family.Origin == AdapterOrigin.Lycoris && adapter.Site.Part == NetworkPart.TextEncoder))
        {
            if (adapter.LimitedNorm() is not { } norm) continue;
            if (norm > limit)
            {
                adapter.Shrink(limit / norm);
                (norm, scaled) = (limit, scaled + 1);
            }
            (sum, count, max) = (sum + norm, count + 1, Math.Max(max, norm));
        }
        if (scaled > 0) Forget();
        if (scaled == 0 && options.Form.AsLycoris && Family.Origin == AdapterOrigin.Lycoris) return (0, 0, 0);          // L-06
        return (scaled, count == 0 ? 0 : sum / count, max);
    }

    /// <summary>The network as a file holds it: kohya's names, in kohya's order.</summary>
    /// <param name="dtype">Type of every tensor; null leaves them as they are (fp32).</param>
    /// <returns>New tensors; the caller's scope owns them.</returns>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Tensors(ScalarType? dtype = null)
    {
        using var frozen = no_grad();
        var tensors = new List<KeyValuePair<string, Tensor>>();
        foreach (var adapter in Adapters)
            foreach (var (name, value) in adapter.Saved())
            {
                var copy = value.detach().to(dtype ?? value.dtype, CPU, copy: true);
                tensors.Add(new($"{adapter.Name}.{name}", copy));
            }
        return tensors;
    }

    /// <summary>Detaches, then frees the tensors.</summary>
    public void Dispose()
    {
        Detach();
        foreach (var adapter in Adapters) adapter.BaseChanged();
        foreach (var parameter in Adapters.SelectMany(adapter => adapter.Parameters)) parameter.Release();
        gradients?.Dispose();
        values.Dispose();
    }

    private void Hang(NetworkStrength strength, bool merge, bool once)
    {
        foreach (var adapter in Adapters) LayerSlot.Of(adapter.Site.Layer).Hang(this, adapter, strength.At(adapter.Site), merge, once);
    }

    // Groups in kohya's order, each in one piece: text encoder, then U-Net, by block where blocks have rates, LoRA+'s share behind its group.
    private long LayOut()
    {
        var position = 0L;
        void place(NetworkPart part, int? block, bool plus, IEnumerable<AdapterParameter> parameters)
        {
            var (start, list) = (position, parameters.ToList());
            if (list.Count == 0) return;
            foreach (var parameter in list)
            {
                parameter.Bind(values, position);
                position += parameter.Length;
            }
            segments.Add(new(part, block, plus, start, position - start, list));
        }

        foreach (var part in new[] { NetworkPart.TextEncoder, NetworkPart.UNet })
            foreach (var block in Adapters.Where(adapter => adapter.Site.Part == part)
                .GroupBy(adapter => part == NetworkPart.UNet && options.BlockRates is not null ? (int?)adapter.Site.Block : null))
            {
                var trained = block.SelectMany(adapter => adapter.Parameters).Where(parameter => parameter is { IsFrozen: false, IsIdle: false }).ToList();
                var split = options.PlusRatio(part) is not null;
                place(part, block.Key, false, trained.Where(parameter => !(split && parameter.IsPlus)));
                if (split) place(part, block.Key, true, trained.Where(parameter => parameter.IsPlus));
            }

        void bind(AdapterParameter parameter)
        {
            parameter.Bind(values, position);
            position += parameter.Length;
        }

        var others = Adapters.SelectMany(adapter => adapter.Parameters).ToList();
        others.FindAll(parameter => parameter.IsIdle).ForEach(bind);
        var length = position;
        others.FindAll(parameter => parameter.IsFrozen).ForEach(bind);
        return length;
    }

    private static void InitializeAndDrop(Adapter adapter, Generator generator)
    {
        using var scope = NewDisposeScope();
        using var flat = zeros(adapter.Parameters.Sum(parameter => parameter.Length));
        var position = 0L;
        foreach (var parameter in adapter.Parameters)
        {
            parameter.Bind(flat, position);
            position += parameter.Length;
        }
        adapter.Initialize(generator);
        foreach (var parameter in adapter.Parameters) parameter.Release();
    }
}
