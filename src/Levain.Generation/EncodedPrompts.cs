using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>What the text encoder made of prompts, kept for pictures to come: a grid draws the same prompt hundreds of times.</summary>
internal sealed class EncodedPrompts : IDisposable
{
    private const long MostBytes = 64L << 20;
    private readonly OrderedDictionary<string, Tensor> kept = [];
    private long bytes;

    /// <summary>States by key, made where they are not kept. Owned here: they live until <see cref="Forget"/>, or until newer ones need their room after the picture.</summary>
    /// <param name="make">Makes states; the caller's scope owns them.</param>
    public Tensor Get(string key, Func<Tensor> make)
    {
        if (kept.TryGetValue(key, out var known))
        {
            kept.Remove(key);
            kept.Add(key, known);
            return known;
        }
        using var scope = NewDisposeScope();
        var made = make().DetachFromDisposeScope();
        kept.Add(key, made);
        bytes += made.numel() * sizeof(float);
        return made;
    }

    /// <summary>Keeps no more than there is room for, the newest; called between pictures.</summary>
    public void Trim()
    {
        while (bytes > MostBytes && kept.Count > 0)
        {
            var (_, oldest) = kept.GetAt(0);
            bytes -= oldest.numel() * sizeof(float);
            oldest.Dispose();
            kept.RemoveAt(0);
        }
    }

    /// <summary>Keeps nothing.</summary>
    public void Forget()
    {
        foreach (var states in kept.Values) states.Dispose();
        kept.Clear();
        bytes = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => Forget();
}
