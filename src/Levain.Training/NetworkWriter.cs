using Levain.Formats;
using Levain.Networks;
using Levain.Training.Metadata;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Writes a network's files: kohya's tensors, names and metadata.</summary>
internal sealed class NetworkWriter : IResultWriter
{
    private const string OfFolder = "IsADirectory";

    private readonly RunPlan plan;
    private readonly Network network;
    private readonly Func<RunIdentity> identity;
    private readonly TimeProvider clock;
    private readonly Task<(string Short, string Sha256)?> baseHashes, vaeHashes;

    public NetworkWriter(RunPlan plan, Network network, Func<RunIdentity> identity, RunOptions options)
    {
        (this.plan, this.network, this.identity, this.clock) = (plan, network, identity, options.Clock);
        // A base of 4 GB takes seconds to hash: beside the first steps, awaited when the first file is written.
        (baseHashes, vaeHashes) = (HashesOf(plan.Settings.Model.Base), HashesOf(plan.Settings.Model.Vae));

        // What kohya writes for a folder is no hash.
        Task<(string, string)?> HashesOf(string? path) => plan.Settings.Compatibility is Compatibility.Kohya && Directory.Exists(path)
            ? Task.FromResult<(string, string)?>((OfFolder, OfFolder)) : NetworkWriter.HashesOf(path, options.Hashes);
    }

    /// <inheritdoc/>
    public void Write(NetworkSave save, int step, int epoch)
    {
        using var scope = NewDisposeScope();
        var tensors = network.Tensors(plan.Settings.Output.Precision.ToDtype());
        var (session, started, _, _) = identity();
        var metadata = LoraMetadata.Build(plan, new()
        {
            SessionId = session,
            StartedAt = started,
            SavedAt = (clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds,
            Steps = step,
            Epoch = epoch,
            BaseHashes = baseHashes.GetAwaiter().GetResult(),
            VaeHashes = vaeHashes.GetAwaiter().GetResult(),
        }, save.Reason);
        if (network.Family.Origin is AdapterOrigin.Lycoris) metadata["sshs_model_hash"] = ModelHashes.Lycoris(tensors);
        else (metadata["sshs_model_hash"], metadata["sshs_legacy_hash"]) = ModelHashes.Sshs(tensors, metadata);
        if (plan.Settings.Output.FormatOf(Trains.Network) is ResultFormat.Safetensors) Safetensors.Write(save.Path, tensors, metadata);
        else PickleWriter.Write(save.Path, tensors.ToArray());          // a pickle has no place for metadata
    }

    /// <summary>Waits for hashes that are still being computed.</summary>
    public void Dispose() => Task.WaitAll(baseHashes, vaeHashes);

    private static async Task<(string, string)?> HashesOf(string? path, FileHashes hashes)
    {
        if (path is null || !File.Exists(path)) return null;
        try { return (ModelHashes.Old(path), await hashes.Of(path).ConfigureAwait(false)); }
        catch (IOException) { return null; }                // the file has gone since it was opened: its hash is a courtesy
    }
}
