using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>
/// A file's pages seen as tensors. libtorch maps the file once per type that is asked for (private mapping: clean pages
/// belong to the file, not to the process); every view keeps its mapping alive, so views may outlive this object.
/// </summary>
internal sealed class FileMapping(string path) : IDisposable
{
    private readonly Dictionary<ScalarType, Tensor> maps = [];
    private readonly Lock gate = new();

    /// <summary>Size of the file in bytes when it was opened.</summary>
    public long Length { get; } = new FileInfo(path).Length;

    /// <summary>
    /// <paramref name="count"/> values from byte <paramref name="offset"/> on, as a flat tensor in the caller's scope: a view where the
    /// offset is a multiple of the type's size, else a copy.
    /// </summary>
    public Tensor Values(ScalarType type, long offset, long count)
    {
        if (count == 0) return empty(0, dtype: type);
        var size = Dtypes.Size(type);
        if (type == ScalarType.Bool) return Map(ScalarType.Byte).narrow(0, offset, count).ne(0); // files may say 2 for true
        if (offset % size == 0) return Map(type).narrow(0, offset / size, count);

        var values = empty(count, dtype: type);
        Read(offset, values);
        return values;
    }

    /// <summary>Fills a dense CPU tensor with the bytes from <paramref name="offset"/> on.</summary>
    public void Read(long offset, Tensor destination)
    {
        using var file = File.OpenHandle(path, options: FileOptions.SequentialScan);
        foreach (var part in DenseBytes.Parts(destination))
        {
            using (part)
            {
                var bytes = part.bytes;
                for (var filled = 0; filled < bytes.Length;)
                {
                    var count = RandomAccess.Read(file, bytes[filled..], offset + filled);
                    if (count == 0) throw new CheckpointException(path, "became shorter while it was read.");
                    filled += count;
                }
                offset += bytes.Length;
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            foreach (var map in maps.Values) map.Dispose();
            maps.Clear();
        }
    }

    private Tensor Map(ScalarType type)
    {
        lock (gate)
        {
            if (!maps.TryGetValue(type, out var map))
            {
                // Detached: it belongs to this object, whatever scope the caller is in.
                map = from_file(path, shared: false, size: Length / Dtypes.Size(type), dtype: type).DetachFromDisposeScope();
                maps.Add(type, map);
            }
            return map;
        }
    }
}

/// <summary>The memory of a tensor in pieces that fit a span.</summary>
internal static class DenseBytes
{
    private const long MaxPartBytes = 1 << 28;

    /// <summary>Flat views that together cover a dense CPU tensor in order; dispose each.</summary>
    public static IEnumerable<Tensor> Parts(Tensor dense)
    {
        var count = dense.numel();
        if (count == 0) yield break;
        using var flat = dense.view(-1).DetachFromDisposeScope();
        var step = MaxPartBytes / dense.element_size();
        for (var at = 0L; at < count; at += step)
            yield return flat.narrow(0, at, Math.Min(step, count - at)).DetachFromDisposeScope();
    }
}
