using System.Buffers.Binary;
using System.Numerics;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats.Pickles;

/// <summary>A file of <c>torch.save</c>: a pickle that describes tensors, and their values beside it.</summary>
internal sealed class PickledFile : TensorFile
{
    private const int MaxPickleBytes = 64 << 20;
    private const string PickleName = "data.pkl";

    // torch/serialization.py: the first two pickles of the format before 1.6.
    private static readonly BigInteger LegacyMagic = BigInteger.Parse("119547037146038801333356");
    private const long LegacyProtocol = 1001;

    private readonly IReadOnlyDictionary<string, PickleTensor> tensors;
    private readonly PickleStorages storages;

    private PickledFile(string path, string format, PickleContent content, PickleStorages storages)
        : base(path, format, content.Texts, content.Tensors.Select(t => new TensorEntry(t.Key, t.Value.Dtype, t.Value.Size, t.Value.Count * Dtypes.Size(t.Value.Dtype)))) =>
        (tensors, this.storages) = (content.Tensors, storages);

    /// <exception cref="CheckpointException">The file is damaged, hostile, or something else.</exception>
    public static PickledFile OpenZip(string path) => Guarded(path, stream =>
    {
        var zip = ZipDirectory.Read(stream);
        var pickles = zip.Entries.Values.Where(entry => entry.Name == PickleName || entry.Name.EndsWith("/" + PickleName, StringComparison.Ordinal)).ToList();
        if (pickles is []) throw new PickleFault(CheckpointFault.NotACheckpoint, "is a zip archive without data.pkl, so no PyTorch file.");
        if (pickles is not [var pickle]) throw new PickleFault(CheckpointFault.BadZip, $"it holds {pickles.Count} files named data.pkl; which one other programs read cannot be told.");
        if (pickle.Bytes > MaxPickleBytes) throw new PickleFault(CheckpointFault.TooLarge, $"its pickle unpacks to {pickle.Bytes:N0} bytes; no real model's does.");

        var top = pickle.Name[..^PickleName.Length];
        var bigEndian = zip.Entries.GetValueOrDefault(top + "byteorder") is { Bytes: < 16 } order && ZipDirectory.Unpack(stream, order).AsSpan().SequenceEqual("big"u8);
        var records = new Dictionary<string, StorageRecord>(StringComparer.Ordinal);
        using var data = new MemoryStream(ZipDirectory.Unpack(stream, pickle), writable: false);
        var root = Unpickler.Read(data, data.Length, id =>
        {
            var storage = StorageOf(id);
            if (!zip.Entries.TryGetValue($"{top}data/{storage.Key}", out var entry)) throw Bad($"storage '{storage.Key}' is not in the archive.");
            var needed = BytesOf(storage);
            if (entry.Bytes != needed) throw Bad($"storage '{storage.Key}' holds {entry.Bytes:N0} bytes where {needed:N0} are needed.");
            records[storage.Key] = new(entry.Offset, entry.Bytes, entry);
            return storage;
        });
        return new(path, "PyTorch zip", new PickleContent(root), new PickleStorages(path, records, bigEndian));
    });

    /// <exception cref="CheckpointException">The file is damaged, hostile, or something else.</exception>
    public static PickledFile OpenLegacy(string path) => Guarded(path, file =>
    {
        // Five pickles (magic number, protocol, system, the object, storage keys), then each storage: its count, its values.
        using var stream = new BufferedStream(file, 1 << 16);
        try
        {
            if (Next() is not BigInteger magic || magic != LegacyMagic) throw new PickleFault(CheckpointFault.NotACheckpoint, "is a pickle, but not one of PyTorch.");
        }
        catch (PickleFault e) when (e.Fault == CheckpointFault.BadPickle)
        {
            throw new PickleFault(CheckpointFault.NotACheckpoint, "is no PyTorch file.");
        }
        if (Next() is not LegacyProtocol) throw new PickleFault(CheckpointFault.BadPickle, "is of an unknown version of PyTorch's legacy format.");
        var bigEndian = Next() is PickleDict system && system.Get("little_endian") is false;
        var storages = new Dictionary<string, PickleStorage>(StringComparer.Ordinal);
        var root = Next(id =>
        {
            var storage = StorageOf(id);
            if (!storages.TryAdd(storage.Key, storage) && storages[storage.Key] != storage) throw Bad($"storage '{storage.Key}' is described in two ways.");
            return ViewOf(id, storage);
        });
        var keys = Next() is List<object?> list && list.All(key => key is string) ? list.Cast<string>() : throw new PickleFault(CheckpointFault.BadPickle, "has no list of storages.");

        var records = new Dictionary<string, StorageRecord>(StringComparer.Ordinal);
        Span<byte> count = stackalloc byte[sizeof(long)];
        var at = stream.Position;
        foreach (var key in keys)
        {
            if (!storages.TryGetValue(key, out var storage)) throw Bad($"storage '{key}' belongs to no tensor.");
            var bytes = BytesOf(storage);
            if (at > file.Length - sizeof(long) || bytes > file.Length - sizeof(long) - at) throw new PickleFault(CheckpointFault.Truncated, "is cut short: values are missing at its end. Download it again.");
            file.Position = at;
            file.ReadExactly(count);
            if (BinaryPrimitives.ReadInt64LittleEndian(count) != storage.Count) throw Bad($"storage '{key}' announces two different sizes.");
            records[key] = new(at + sizeof(long), bytes, null);
            at += sizeof(long) + bytes;
        }
        if (storages.Keys.FirstOrDefault(key => !records.ContainsKey(key)) is { } missing) throw Bad($"storage '{missing}' is not in the file.");
        return new(path, "PyTorch legacy pickle", new PickleContent(root), new PickleStorages(path, records, bigEndian));

        object? Next(Func<PickleTuple, PickleStorage>? storageOf = null)
        {
            try
            {
                return Unpickler.Read(stream, Math.Min(file.Length, stream.Position + MaxPickleBytes), storageOf ?? (_ => throw new PickleFault(CheckpointFault.BadPickle, "refers to values before there are any.")));
            }
            catch (PickleFault e) when (e.Fault == CheckpointFault.BadPickle && stream.Position >= file.Length)
            {
                throw new PickleFault(CheckpointFault.Truncated, "is cut short in the middle of its description. Download it again.");
            }
        }
    });

    private protected override Tensor ViewOf(TensorEntry entry)
    {
        var tensor = tensors[entry.Name];
        try
        {
            var values = storages.Values(tensor.Storage, tensor.Dtype, tensor.Storage.Start + tensor.Offset, tensor.Span);
            return tensor.Count == 0 ? values.view(tensor.Size) : values.as_strided(tensor.Size, tensor.Stride, values.storage_offset());
        }
        catch (PickleFault e)
        {
            throw new CheckpointException(Path, $"cannot be read: {e.Message}", entry.Name) { Fault = e.Fault };
        }
    }

    protected override void Dispose(bool disposing) => storages.Dispose();

    /// <summary>The persistent id <c>("storage", type, key, device, count)</c>; the device is left to the reader.</summary>
    private static PickleStorage StorageOf(PickleTuple id)
    {
        if (id.Items is not ["storage", PickleGlobal { Role: PickleRole.Storage } type, string key, _, var count, ..])
            throw new PickleFault(CheckpointFault.BadPickle, "the pickle refers to outside data by something other than a storage.");
        return new(key, PickleGlobals.StorageType(type), count is >= 0L ? (long)count : throw Bad($"storage '{key}' has a count of {count}."));
    }

    /// <summary>Files of the oldest versions cut storages into views: <c>(view key, offset, count)</c> in the last place.</summary>
    private static PickleStorage ViewOf(PickleTuple id, PickleStorage whole)
    {
        if (id.Items is not [_, _, _, _, _, PickleTuple view]) return whole;
        if (view.Items is not [_, >= 0L and long start, >= 0L and long count] || start > whole.Count || count > whole.Count - start) throw Bad($"a view of storage '{whole.Key}' reaches beyond it.");
        return whole with { Start = start, Count = count };
    }

    private static long BytesOf(PickleStorage storage)
    {
        var size = storage.Dtype is { } type ? Dtypes.Size(type) : 1;
        return storage.Count <= long.MaxValue / size ? storage.Count * size : throw Bad($"storage '{storage.Key}' has a size beyond any memory.");
    }

    private static PickledFile Guarded(string path, Func<FileStream, PickledFile> open)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return open(stream);
        }
        catch (PickleFault e)
        {
            throw new CheckpointException(path, e.Message.StartsWith("is ", StringComparison.Ordinal) ? e.Message : $"cannot be used: {e.Message}") { Fault = e.Fault };
        }
        catch (EndOfStreamException e)
        {
            throw new CheckpointException(path, "is cut short. Download it again.", cause: e) { Fault = CheckpointFault.Truncated };
        }
    }

    private static PickleFault Bad(string what) => new(CheckpointFault.BadTensor, what);
}
