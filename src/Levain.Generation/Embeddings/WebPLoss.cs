namespace Levain.Generation;

/// <summary>Tells by a WebP file's header whether its pixels were kept without loss; only such pixels can hold an embedding.</summary>
/// <remarks>https://developers.google.com/speed/webp/docs/riff_container: a chunk <c>VP8 </c> is lossy, <c>VP8L</c> is not.</remarks>
internal static class WebPLoss
{
    private const int HeaderBytes = 12, ChunkHeaderBytes = 8, NameBytes = 4;

    /// <summary>Whether the file is a WebP whose picture was kept with loss; false where that cannot be told.</summary>
    public static bool IsLossy(string path)
    {
        try
        {
            using var file = new BinaryReader(File.OpenRead(path));
            var header = file.ReadBytes(HeaderBytes);
            if (header.Length < HeaderBytes || !header.AsSpan().StartsWith("RIFF"u8) || !header.AsSpan(ChunkHeaderBytes).SequenceEqual("WEBP"u8)) return false;
            while (file.BaseStream.Position + ChunkHeaderBytes <= file.BaseStream.Length)
            {
                var name = file.ReadBytes(NameBytes);
                var bytes = file.ReadUInt32();
                if (name.AsSpan().SequenceEqual("VP8 "u8)) return true;
                if (name.AsSpan().SequenceEqual("VP8L"u8) || name.AsSpan().SequenceEqual("ANIM"u8)) return false;
                file.BaseStream.Position += bytes + bytes % 2;
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // told of where the file is read
        }
        return false;
    }
}
