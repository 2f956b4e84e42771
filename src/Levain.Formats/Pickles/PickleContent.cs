using System.Globalization;
using Levain.Core;

namespace Levain.Formats.Pickles;

/// <summary>The tensors and texts of an unpickled file, named by their path.</summary>
internal sealed class PickleContent
{
    private const string Weights = "state_dict";
    private const int MaxDepth = 64, MaxVisits = 2_000_000, MaxTexts = 10_000, MaxTextLength = 100_000;

    private readonly OrderedDictionary<string, PickleTensor> tensors = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, string> texts = new(StringComparer.Ordinal);
    private readonly HashSet<object> open = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<object> barren = new(ReferenceEqualityComparer.Instance);
    private int visits;

    /// <param name="root">What the pickle holds.</param>
    /// <exception cref="PickleFault">It is no dict, has no tensors, or is nested beyond reason.</exception>
    public PickleContent(object? root)
    {
        if (root is not PickleDict dict) throw new PickleFault(CheckpointFault.NotACheckpoint, "the pickle holds no dict of tensors.");

        // Lightning keeps the weights one level down; there they are found under their own names.
        var weights = dict.Get(Weights);
        if (weights is PickleDict) Visit(weights, "", 0);
        foreach (var (key, value) in dict.Items)
        {
            if (!ReferenceEquals(value, weights) || weights is not PickleDict) Visit(value, Step(key), 0);
        }
        if (tensors.Count == 0) throw new PickleFault(CheckpointFault.NoTensors, "the pickle can be read, but it holds no tensors.");
    }

    /// <summary>Tensors by path, keys joined by <c>/</c>; those of <c>state_dict</c> without that prefix.</summary>
    public IReadOnlyDictionary<string, PickleTensor> Tensors => tensors;

    /// <summary>Numbers and texts by path, the first ten thousand.</summary>
    public IReadOnlyDictionary<string, string> Texts => texts;

    /// <summary>Whether there was a tensor in it. Containers without any are looked at once, so shared ones cost nothing.</summary>
    private bool Visit(object? value, string path, int depth)
    {
        if (++visits > MaxVisits) throw new PickleFault(CheckpointFault.TooLarge, $"the pickle repeats its parts more than {MaxVisits:N0} times; no real model does.");
        switch (value)
        {
            case PickleTensor tensor:
                AddTensor(path, tensor);
                return true;
            case string or long or double or bool:
                AddText(path, Convert.ToString(value, CultureInfo.InvariantCulture)!);
                return false;
            case PickleDict dict: return VisitAll(dict, dict.Items.Select(item => (Step(item.Key), item.Value)), path, depth);
            case List<object?> list: return VisitAll(list, list.Select((item, i) => ($"{i}", item)), path, depth);
            case PickleTuple tuple: return VisitAll(tuple, tuple.Items.Select((item, i) => ($"{i}", item)), path, depth);
            case PickleObject made:
                return VisitAll(made, made.Items.Items.Select(item => (Step(item.Key), item.Value)).Append(("", made.State)), path, depth);
            default: return false;
        }
    }

    private bool VisitAll(object container, IEnumerable<(string Name, object? Value)> items, string path, int depth)
    {
        if (barren.Contains(container) || !open.Add(container)) return false; // a cycle adds nothing new
        if (depth == MaxDepth) throw new PickleFault(CheckpointFault.TooDeep, $"the pickle is nested more than {MaxDepth} levels deep; no real model is.");
        var found = false;
        foreach (var (name, value) in items) found |= Visit(value, name.Length == 0 ? path : path.Length == 0 ? name : $"{path}/{name}", depth + 1);
        open.Remove(container);
        if (!found) barren.Add(container);
        return found;
    }

    private void AddTensor(string path, PickleTensor tensor)
    {
        var name = path;
        for (var n = 2; !tensors.TryAdd(name, tensor); n++) name = $"{path} ({n})";
    }

    private void AddText(string path, string text)
    {
        if (texts.Count < MaxTexts && text.Length <= MaxTextLength) texts.TryAdd(path, text);
    }

    private static string Step(object key) => key switch
    {
        PickleGlobal type => $"<{type.Name}>",
        PickleTuple => "<tuple>",
        _ => Convert.ToString(key, CultureInfo.InvariantCulture)!,
    };
}
