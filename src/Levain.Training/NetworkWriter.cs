using Levain.Formats;
using Levain.Networks;
using Levain.Training.Metadata;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Writes the network's files: kohya's tensors, names and metadata, and the rotation of old ones.</summary>
internal sealed class NetworkWriter : IDisposable
{
    private readonly RunPlan plan;
    private readonly Network network;
    private readonly Func<RunIdentity> identity;
    private readonly TimeProvider clock;
    private readonly IProgress<RunEvent>? events;
    private readonly Task<(string Short, string Sha256)?> baseHashes, vaeHashes;

    public NetworkWriter(RunPlan plan, Network network, Func<RunIdentity> identity, TimeProvider clock, IProgress<RunEvent>? events)
    {
        (this.plan, this.network, this.identity, this.clock, this.events) = (plan, network, identity, clock, events);
        // A base of 4 GB takes seconds to hash: beside the first steps, awaited when the first file is written.
        (baseHashes, vaeHashes) = (HashesOf(plan.Settings.Model.Base), HashesOf(plan.Settings.Model.Vae));
    }

    /// <summary>Writes a file and removes the one it replaces.</summary>
    /// <param name="save">Which file.</param>
    /// <param name="step">Steps made.</param>
    /// <param name="epoch">The epoch it belongs to, from 1.</param>
    /// <returns>The file.</returns>
    /// <exception cref="RunException">It cannot be written.</exception>
    public string Save(NetworkSave save, int step, int epoch)
    {
        using var scope = NewDisposeScope();
        var tensors = network.Tensors(plan.Settings.Output.Precision switch
        {
            Precision.Fp16 => ScalarType.Float16,
            Precision.Bf16 => ScalarType.BFloat16,
            Precision.Fp32 => ScalarType.Float32,
            _ => null,
        });
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
        try
        {
            Safetensors.Write(save.Path, tensors, metadata);
            events?.Report(new NetworkSaved(save.Path, save.Reason is SaveReason.Final));
            if (save.Replaces is { } old && old != save.Path) File.Delete(old);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RunException($"{save.Path} cannot be written: {failure.Message} Make room or choose another output.folder, then go on with --resume.", failure);
        }
        return save.Path;
    }

    /// <summary>Waits for hashes that are still being computed.</summary>
    public void Dispose() => Task.WaitAll(baseHashes, vaeHashes);

    private static async Task<(string, string)?> HashesOf(string? path)
    {
        if (path is null || !File.Exists(path)) return null;
        try { return await Task.Run(() => (ModelHashes.Old(path), ModelHashes.Sha256(path))).ConfigureAwait(false); }
        catch (IOException) { return null; }                // the file has gone since it was opened: its hash is a courtesy
    }
}
