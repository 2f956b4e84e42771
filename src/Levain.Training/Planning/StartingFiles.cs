using Levain.Core;
using Levain.Formats;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Training.Planning;

/// <summary>Files that a run begins with: looked at by their headers before a model is opened.</summary>
internal static class StartingFiles
{
    private const string Down = ".lora_down.weight";

    /// <summary>Adds what is wrong with them to <paramref name="problems"/>.</summary>
    public static void Check(RunSettings settings, Problems problems)
    {
        for (var i = 0; i < settings.Model.Networks.Count; i++)
            if (settings.Model.Networks[i].File is { } merged) LookForAdapters(merged, $"model.networks[{i}].file", problems, _ => null);
        if (settings.Snapshots.KohyaResume is { } state && KohyaState.Find(state) is null)
            problems.Add("snapshots.kohya_resume", KohyaState.IsKohyas(state) ? $"names {state}, a state that kohya itself wrote: a pickle, which can hold code." : $"names {state}, where there is no snapshot.",
                "Name a snapshot of Levain's, or begin with the network itself: network.weights.");
        if (settings.Trains is Trains.Network && settings.Network.Weights is { } weights)
            LookForAdapters(weights, "network.weights", problems, file => settings.Network is { RankFromWeights: false, Family: "lora", BlockRanks: null } ? OtherRank(file, settings.Network) : null);
        if (settings.Trains is Trains.Embedding && settings.Embedding.Weights is { } word && File.Exists(word)) Look(word, "embedding.weights", problems, file => OtherVectors(file, settings.Embedding));
        if (settings.Trains is Trains.Hypernetwork && settings.Hypernetwork.Weights is { } hyper && File.Exists(hyper))
            Look(hyper, "hypernetwork.weights", problems, file => file.Entries.Keys.Any(name => name.Split('/') is [var width, "0" or "1", _] && width.All(char.IsAsciiDigit)) ? null
                : new("hypernetwork.weights", $"names {hyper}, which holds no pair of networks by width of tokens.", "Name a hypernetwork; levain inspect shows what a file is."));
    }

    /// <summary>Numbers in a network file, alphas left out; 0 where it cannot be read.</summary>
    public static long Numbers(string path)
    {
        try
        {
            using var file = TensorFile.Open(path);
            return file.Entries.Values.Sum(entry => entry.Shape.Length == 0 ? 0 : entry.Shape.Aggregate(1L, (product, side) => product * side));
        }
        catch (Exception failure) when (failure is CheckpointException or IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    private static void LookForAdapters(string path, string where, Problems problems, Func<TensorFile, Problem?> look)
    {
        if (!File.Exists(path)) problems.Add(where, $"names {path}, which is not there.", "Name a network file.");
        else Look(path, where, problems, file => file.Entries.Keys.All(name => LayerNames.Split(name) is null) ? new(where, $"names {path}, which holds no adapters.", "Name a network file; levain inspect shows what a file is.") : look(file));
    }

    private static void Look(string path, string where, Problems problems, Func<TensorFile, Problem?> look)
    {
        if (Path.GetExtension(path).ToLowerInvariant() is ".webp" or ".avif") return;          // the pixels tell, and reading them takes an engine
        try
        {
            using var file = TensorFile.Open(path);
            if (look(file) is { } problem) problems.Add(problem.Where, problem.What, problem.Fix);
        }
        catch (Exception failure) when (failure is CheckpointException or IOException or UnauthorizedAccessException)
        {
            problems.Add(where, failure.Message, "");
        }
    }

    // A file of the webui's holds its vectors among others.
    private static Problem? OtherVectors(TensorFile file, EmbeddingSettings embedding)
    {
        if (file.Entries.Count != 1) return null;
        var shape = file.Entries.Values.Single().Shape;
        var vectors = shape.Length == 1 ? 1 : shape[0];
        return shape.Length is 1 or 2 && vectors != embedding.Vectors
            ? new("embedding.weights", $"holds {Counted.Of((int)vectors, "vector")}, and {embedding.Vectors} {(embedding.Vectors == 1 ? "is" : "are")} trained.", $"Set embedding.vectors = {vectors}, or begin with another word.") : null;
    }

    // A convolution's own rank may differ from that of the others.
    private static Problem? OtherRank(TensorFile file, NetworkSettings network)
    {
        foreach (var entry in file.Entries.Values.Where(entry => entry.Name.EndsWith(Down, StringComparison.Ordinal)))
        {
            var spatial = entry.Shape is [_, _, > 1, _] or [_, _, _, > 1];
            if ((spatial ? network.ConvRank : network.Rank) is { } rank && rank != entry.Shape[0])
                return new("network.weights", $"has rank {entry.Shape[0]} at {entry.Name[..^Down.Length]}, and the run asks for {rank}.", "Set network.rank_from_weights = true to take ranks from the file.");
        }
        return null;
    }
}
