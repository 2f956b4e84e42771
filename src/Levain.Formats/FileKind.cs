using System.Text;
using Levain.Core;
using Levain.Formats.Embeddings;
using Levain.Formats.Pickles;

namespace Levain.Formats;

/// <summary>Tells by a file's first bytes what it is.</summary>
internal static class FileKind
{
    private const int Look = 64;
    private const byte PickleProtocol = 0x80;

    public static TensorFile Open(string path)
    {
        if (Directory.Exists(path)) throw new CheckpointException(path, "is a folder where a file is needed.");
        if (!File.Exists(path)) throw new CheckpointException(path, "does not exist.");
        var head = Head(path);
        var named = path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);

        if (head.Length == 0) throw Refuse(CheckpointFault.Empty, "is empty (0 bytes). Download it again.");
        if (Starts("version https://git-lfs")) throw Refuse(CheckpointFault.GitLfsPointer, "is a Git LFS pointer, not the model itself. Fetch it with 'git lfs pull' or download the file.");
        if (Starts("<")) throw Refuse(CheckpointFault.NotACheckpoint, "is a web page, not a model. The download link probably asked for a login.");
        // A header of 0x…80 bytes begins like a pickle, one of 0x…4B50 like a zip: what follows decides.
        if (named && !LooksLikeSafetensors(head) && (Starts("PK") || head[0] == PickleProtocol))
            throw Refuse(CheckpointFault.NotACheckpoint, "is a PyTorch pickle under the name of a safetensors file. Rename it to .ckpt if you know where it comes from.");
        if (named || LooksLikeSafetensors(head)) return SafetensorsFile.OpenMapped(path);
        if (head.AsSpan().StartsWith(PngPicture.Signature)) return EmbeddingPicture.OpenPicture(path);
        if (Starts("PK")) return PickledFile.OpenZip(path);
        if (head[0] == PickleProtocol) return PickledFile.OpenLegacy(path);
        throw Refuse(CheckpointFault.NotACheckpoint, "is no format known here: safetensors, PyTorch .ckpt/.pt/.bin, or an embedding picture.");

        bool Starts(string text) => head.AsSpan().StartsWith(Encoding.ASCII.GetBytes(text));
        CheckpointException Refuse(CheckpointFault fault, string what) => new(path, what) { Fault = fault };
    }

    private static bool LooksLikeSafetensors(byte[] head) =>
        head.Length > SafetensorsHeader.Prefix && head[SafetensorsHeader.Prefix] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0;

    private static byte[] Head(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var head = new byte[Look];
            return head[..stream.ReadAtLeast(head, Look, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", cause: e);
        }
    }
}
