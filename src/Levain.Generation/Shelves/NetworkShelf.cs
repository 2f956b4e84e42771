using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Networks;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Network files that were opened for a base, and those that act on it now. A file is read once; the base's own weights are never touched.</summary>
internal sealed class NetworkShelf(StableDiffusion model) : IDisposable
{
    // Networks that no picture asks for at the moment stay open up to this size: grids come back to them.
    private const long IdleBytes = 1L << 30;

    private readonly List<Book> books = [];                       // the one used last comes last
    private readonly Dictionary<IAdaptableLayer, double> norms = [];
    private readonly Dictionary<(Book, NetworkStrength), NetworkEffect> effects = [];
    private IReadOnlyList<(Book Book, NetworkUse Use)> inForce = [];

    // One file as it was when it was read; a second copy where a prompt names it twice.
    private sealed record Book(string Path, DateTime Written, int? Ranks, int Copy, Network Network, IReadOnlyList<TextualInversion> Words)
    {
        public bool Equals(Book? other) => ReferenceEquals(this, other);

        public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
    }

    /// <summary>The networks that act, for whoever keeps what the text encoder made of a prompt.</summary>
    public string Key => string.Join('\n', inForce.Select(one => $"{one.Book.Path}|{one.Book.Written.Ticks}|{one.Use.Ranks}|{one.Use.Strength.TextEncoder:R}|{one.Use.Strength.Blocks}"));

    /// <summary>Words that the acting networks bring along.</summary>
    public IEnumerable<TextualInversion> Words => inForce.SelectMany(one => one.Book.Words);

    /// <summary>Whether a network that is not from here hangs on the text encoder.</summary>
    public bool OthersAct => Network.OthersOn(model.TextEncoder.AdaptableLayers, [.. books.Select(book => book.Network)]);

    /// <summary>Lets exactly these networks act, in this order. Strengths change without anything being read or taken off.</summary>
    /// <returns>What each of them does, and what else is to be said.</returns>
    /// <exception cref="CheckpointException">A file is damaged, fits no layer, or holds numbers that are none.</exception>
    public (IReadOnlyList<NetworkEffect> Effects, IReadOnlyList<string> Notes) Use(IReadOnlyList<NetworkUse> wanted)
    {
        var next = new List<(Book Book, NetworkUse Use)>();
        foreach (var use in wanted) next.Add((Open(use, next.Count(one => one.Book.Path == use.Path)), use));
        if (!next.Select(one => one.Book).SequenceEqual(inForce.Select(one => one.Book))) TakeOff();
        inForce = next;
        // A picture takes dozens of passes at one strength: patching each weight once is cheaper.
        foreach (var (book, use) in inForce) book.Network.Attach(StrengthAt(use, 0), weightOnce: true);
        ForgetIdle();
        return ([.. inForce.Select(one => EffectOf(one.Book, one.Use))],
            [.. inForce.SelectMany(one => one.Book.Network.Notes.Select(note => $"{one.Use.Name}: {note}"))]);
    }

    /// <summary>Lets networks that act between certain steps begin and end.</summary>
    /// <param name="reported">The step last reported by the sampler, from 0; 0 before.</param>
    public void EnterStep(int reported)
    {
        foreach (var (book, use) in inForce)
            if (use.Steps is not null) book.Network.Attach(StrengthAt(use, reported), weightOnce: true);
    }

    private static NetworkStrength StrengthAt(NetworkUse use, int reported) => use.Steps is { } steps && !steps.Act(reported) ? use.Strength with { UNet = 0 } : use.Strength;

    /// <summary>Takes all networks off.</summary>
    public void TakeOff()
    {
        foreach (var (book, _) in inForce) book.Network.Detach();
        inForce = [];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        TakeOff();
        foreach (var book in books) Close(book);
        books.Clear();
    }

    private Book Open(NetworkUse use, int copy)
    {
        var written = File.GetLastWriteTimeUtc(use.Path);
        if (books.Find(book => book.Path == use.Path && book.Ranks == use.Ranks && book.Copy == copy && book.Written == written) is { } known)
        {
            books.Remove(known);
            books.Add(known);
            return known;
        }
        using var file = TensorFile.Open(use.Path);
        var network = Network.Load(file, new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers));
        if (use.Ranks is { } ranks) Cut(network, ranks);
        var book = new Book(use.Path, written, use.Ranks, copy, network, TextualInversion.ReadBundle(file, use.Name));
        books.Add(book);
        return book;
    }

    // Columns of up beyond the ranks are zero; the scale stays that of the whole. Products with a middle are used whole, as in the webui.
    private static void Cut(Network network, int ranks)
    {
        const string Up = "lora_up.weight", Middle = "lora_mid.weight";
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        foreach (var adapter in network.Adapters)
        {
            if (adapter.Parameters.Any(parameter => parameter.Name == Middle)) continue;
            foreach (var up in adapter.Parameters.Where(parameter => parameter.Name == Up && parameter.Shape[1] > ranks))
                up.Value.narrow(1, ranks, up.Shape[1] - ranks).zero_();
        }
    }

    private void ForgetIdle()
    {
        var idle = books.Where(book => inForce.All(one => one.Book != book)).ToList();
        var bytes = idle.Sum(book => book.Network.Values.numel() * sizeof(float));
        foreach (var book in idle)
        {
            if (bytes <= IdleBytes && File.Exists(book.Path) && File.GetLastWriteTimeUtc(book.Path) == book.Written) continue;
            bytes -= book.Network.Values.numel() * sizeof(float);
            books.Remove(book);
            Close(book);
        }
    }

    private void Close(Book book)
    {
        foreach (var key in effects.Keys.Where(key => key.Item1 == book).ToList()) effects.Remove(key);
        book.Network.Dispose();
        foreach (var word in book.Words) word.Dispose();
    }

    private NetworkEffect EffectOf(Book book, NetworkUse use)
    {
        if (effects.TryGetValue((book, use.Strength), out var known)) return known with { Name = use.Name };
        using var frozen = no_grad();
        var (textEncoder, unet, unchanged) = (0, 0, 0);
        var (delta, whole) = (0.0, 0.0);
        foreach (var adapter in book.Network.Adapters)
        {
            var change = Change(adapter, use.Strength.At(adapter.Site));
            if (!double.IsFinite(change))
                throw new CheckpointException(use.Path, "makes a weight that is no finite number: the file is damaged, or its training diverged.", adapter.Name);
            if (change == 0)
            {
                unchanged++;
                continue;
            }
            if (adapter.Site.Part == NetworkPart.TextEncoder) textEncoder++;
            else unet++;
            delta += change * change;
            whole += Math.Pow(NormOf(adapter.Site.Layer), 2);
        }
        return effects[(book, use.Strength)] = new(use.Name, textEncoder, unet, unchanged, whole > 0 ? Math.Sqrt(delta / whole) : 0);
    }

    // ‖W' − W‖, with the bias's change in it.
    private static double Change(Adapter adapter, double strength)
    {
        if (strength == 0) return 0;
        if (adapter.Norm() is { } norm) return Math.Abs(strength) * norm;
        using var scope = NewDisposeScope();
        var (weight, bias) = (adapter.Site.Layer.Weight.to_type(ScalarType.Float32), adapter.Site.Layer.Bias);
        var squared = adapter.Weight(weight, strength).sub(weight).square().sum(ScalarType.Float64).item<double>();
        if (adapter.Bias(bias, strength) is { } changed && !ReferenceEquals(changed, bias))
            squared += (bias is null ? changed : changed.sub(bias)).square().sum(ScalarType.Float64).item<double>();
        return Math.Sqrt(squared);
    }

    private double NormOf(IAdaptableLayer layer)
    {
        if (norms.TryGetValue(layer, out var known)) return known;
        using var scope = NewDisposeScope();
        return norms[layer] = Math.Sqrt(layer.Weight.to_type(ScalarType.Float32).square().sum(ScalarType.Float64).item<double>());
    }
}
