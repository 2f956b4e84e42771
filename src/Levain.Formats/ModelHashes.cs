using System.Buffers.Binary;
using System.Security.Cryptography;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>The hashes by which kohya, the webui and model sites know a file.</summary>
public static class ModelHashes
{
    // kohya-ss/sd-scripts library/train_util.py, modules/hashes.py of the webui: the old hash looks at 64 KiB behind the first MiB only.
    private const long WindowStart = 0x100000;
    private const int WindowBytes = 0x10000;
    private const int OldDigits = 8, ShortDigits = 10;
    private const string Missing = "NOFILE", Folder = "IsADirectory";

    /// <summary>sha256 of a whole file, 64 digits; <c>NOFILE</c> or <c>IsADirectory</c> where there is none, as kohya writes into metadata.</summary>
    public static string Sha256(string path)
    {
        if (Absent(path) is { } absent) return absent;
        using var stream = File.OpenRead(path);
        return Hex(SHA256.HashData(stream));
    }

    /// <summary>The webui's short hash: the first ten digits of <paramref name="sha256"/>.</summary>
    public static string Short(string sha256) => sha256[..ShortDigits];

    /// <summary>The old webui hash and kohya's <c>ss_sd_model_hash</c>: 8 digits over 64 KiB; files below 1 MiB all get <c>e3b0c442</c>.</summary>
    public static string Old(string path)
    {
        if (Absent(path) is { } absent) return absent;
        using var file = File.OpenHandle(path);
        var window = new byte[WindowBytes];
        var filled = 0;
        for (int count; filled < WindowBytes && (count = RandomAccess.Read(file, window.AsSpan(filled), WindowStart + filled)) > 0;) filled += count;
        return Hex(SHA256.HashData(window.AsSpan(0, filled)))[..OldDigits];
    }

    /// <summary>kohya's <c>sshs_model_hash</c> and <c>sshs_legacy_hash</c> of a network about to be written.</summary>
    /// <param name="tensors">The network's tensors.</param>
    /// <param name="metadata">Its metadata; only <c>ss_*</c> keys enter the legacy hash.</param>
    public static (string Model, string Legacy) Sshs(IReadOnlyList<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var trained = metadata.Where(pair => pair.Key.StartsWith("ss_", StringComparison.Ordinal)).ToDictionary();
        using var hashing = new SshsStream();
        Safetensors.Write(hashing, tensors, trained);
        return hashing.Finish();
    }

    /// <summary>The <c>sshs_model_hash</c> of a safetensors file as it lies there: sha256 of everything behind its header.</summary>
    public static string SshsOfFile(string path)
    {
        using var stream = File.OpenRead(path);
        stream.Position = SafetensorsHeader.Read(path, stream).DataStart;
        return Hex(SHA256.HashData(stream));
    }

    /// <summary>LyCORIS' <c>sshs_model_hash</c>: sha256 of the values in the order given, with <c>0x</c> in front.</summary>
    public static string Lycoris(IReadOnlyList<KeyValuePair<string, Tensor>> tensors)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (_, tensor) in tensors) Safetensors.ReadValues(tensor, hash.AppendData);
        return "0x" + Hex(hash.GetHashAndReset());
    }

    private static string? Absent(string path) => Directory.Exists(path) ? Folder : File.Exists(path) ? null : Missing;

    private static string Hex(byte[] hash) => Convert.ToHexStringLower(hash);

    /// <summary>Takes a file as it is written and keeps its two hashes only.</summary>
    private sealed class SshsStream : Stream
    {
        private readonly IncrementalHash model = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly IncrementalHash legacy = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly byte[] prefix = new byte[SafetensorsHeader.Prefix];
        private long position;
        private long dataStart = long.MaxValue;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => position;
        public override long Position { get => position; set => throw new NotSupportedException("This stream is only written to, from its beginning to its end."); }

        public (string Model, string Legacy) Finish() => (Hex(model.GetHashAndReset()), Hex(legacy.GetHashAndReset())[..OldDigits]);

        public override void Write(ReadOnlySpan<byte> bytes)
        {
            if (position < prefix.Length)
            {
                bytes[..Math.Min(bytes.Length, prefix.Length - (int)position)].CopyTo(prefix.AsSpan((int)position));
                if (position + bytes.Length >= prefix.Length) dataStart = prefix.Length + BinaryPrimitives.ReadInt64LittleEndian(prefix);
            }
            Append(model, bytes, dataStart, long.MaxValue);
            Append(legacy, bytes, WindowStart, WindowStart + WindowBytes);
            position += bytes.Length;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("This stream is only written to, from its beginning to its end.");
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("This stream is only written to, from its beginning to its end.");
        public override void SetLength(long value) => throw new NotSupportedException("This stream is only written to, from its beginning to its end.");

        protected override void Dispose(bool disposing)
        {
            model.Dispose();
            legacy.Dispose();
            base.Dispose(disposing);
        }

        /// <summary>Adds the bytes whose place in the file is in [from, to).</summary>
        private void Append(IncrementalHash hash, ReadOnlySpan<byte> bytes, long from, long to)
        {
            var first = Math.Clamp(from - position, 0, bytes.Length);
            var last = Math.Clamp(to - position, first, bytes.Length);
            hash.AppendData(bytes[(int)first..(int)last]);
        }
    }
}
