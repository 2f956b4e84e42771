using System.Buffers.Binary;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Levain.Formats.Pickles;

/// <summary>Where a storage's bytes lie in the file.</summary>
/// <param name="Offset">First byte, where they lie plain.</param>
/// <param name="Entry">The zip entry that holds them; null in legacy files.</param>
internal sealed record StorageRecord(long Offset, long Bytes, ZipEntry? Entry);

/// <summary>The raw values beside a pickle: mapped where they lie plain, unpacked or turned round where not.</summary>
internal sealed class PickleStorages(string path, IReadOnlyDictionary<string, StorageRecord> records, bool bigEndian) : IDisposable
{
    private readonly FileMapping mapping = new(path);
    private readonly HashSet<string> verified = new(StringComparer.Ordinal);
    private readonly Lock gate = new();
    private (string Key, ScalarType Type, Tensor Values)? latest; // tensors of one storage follow each other: it is unpacked once

    /// <summary>Values of a storage from <paramref name="start"/> on, flat, in the caller's scope.</summary>
    /// <exception cref="PickleFault">The bytes are damaged.</exception>
    public Tensor Values(PickleStorage storage, ScalarType type, long start, long count)
    {
        if (count == 0) return empty(0, dtype: type);
        var record = records[storage.Key];
        if (record.Entry is { Deflated: true } || (bigEndian && Dtypes.Size(type) > 1))
        {
            lock (gate) return Unpacked(storage.Key, record, type).narrow(0, start, count);
        }
        lock (gate) Verify(storage.Key, record);
        return mapping.Values(type, record.Offset + start * Dtypes.Size(type), count);
    }

    public void Dispose()
    {
        mapping.Dispose();
        latest?.Values.Dispose();
        latest = null;
    }

    private void Verify(string key, StorageRecord record)
    {
        if (record.Entry is null || !verified.Add(key)) return;
        using var stream = File.OpenRead(path);
        ZipDirectory.Unpack(stream, record.Entry, _ => { });
    }

    private Tensor Unpacked(string key, StorageRecord record, ScalarType type)
    {
        if (latest is { } known && known.Key == key && known.Type == type) return known.Values;
        var values = empty(record.Bytes / Dtypes.Size(type), dtype: type).DetachFromDisposeScope();
        try
        {
            Fill(record, values);
        }
        catch
        {
            values.Dispose();
            throw;
        }
        latest?.Values.Dispose();
        latest = (key, type, values);
        return values;
    }

    private void Fill(StorageRecord record, Tensor values)
    {
        if (record.Entry is { } entry)
        {
            using var stream = File.OpenRead(path);
            var parts = DenseBytes.Parts(values).GetEnumerator();
            var (part, at) = (parts.MoveNext() ? parts.Current : null, 0);
            ZipDirectory.Unpack(stream, entry, bytes =>
            {
                while (bytes.Length > 0)
                {
                    var room = part!.bytes[at..];
                    var count = Math.Min(room.Length, bytes.Length);
                    bytes[..count].CopyTo(room);
                    bytes = bytes[count..];
                    at += count;
                    if (count < room.Length) continue;
                    part.Dispose();
                    (part, at) = (parts.MoveNext() ? parts.Current : null, 0);
                }
            });
        }
        else
        {
            mapping.Read(record.Offset, values);
        }
        if (bigEndian) TurnRound(values);
    }

    private static void TurnRound(Tensor values)
    {
        var size = values.dtype == ScalarType.ComplexFloat32 ? sizeof(float) : Dtypes.Size(values.dtype);
        foreach (var part in DenseBytes.Parts(values))
        {
            using (part)
            {
                var bytes = part.bytes;
                switch (size)
                {
                    case 2: BinaryPrimitives.ReverseEndianness(MemoryMarshal.Cast<byte, ushort>(bytes), MemoryMarshal.Cast<byte, ushort>(bytes)); break;
                    case 4: BinaryPrimitives.ReverseEndianness(MemoryMarshal.Cast<byte, uint>(bytes), MemoryMarshal.Cast<byte, uint>(bytes)); break;
                    case 8: BinaryPrimitives.ReverseEndianness(MemoryMarshal.Cast<byte, ulong>(bytes), MemoryMarshal.Cast<byte, ulong>(bytes)); break;
                }
            }
        }
    }
}
