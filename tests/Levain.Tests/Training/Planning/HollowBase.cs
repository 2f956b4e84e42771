using System.Text;
using System.Text.Json;

namespace Levain.Tests.Training.Planning;

/// <summary>A base with its header only: every shape of the golden tiny model, and a hole in the disk where the weights would be.</summary>
internal static class HollowBase
{
    private static readonly Lock writing = new();

    /// <summary>Writes it where it is not there yet.</summary>
    /// <param name="model">Which of <c>tiny_*.shapes.json</c>.</param>
    public static string At(string path, string model = "tiny_sd1")
    {
        lock (writing)
        {
            if (File.Exists(path)) return path;
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var (entries, end) = (new Dictionary<string, object>(), 0L);
            foreach (var tensor in Golden.Json("training", model + ".shapes.json").EnumerateObject())
            {
                var shape = tensor.Value.EnumerateArray().Select(side => side.GetInt64()).ToArray();
                var bytes = sizeof(float) * shape.Aggregate(1L, (product, side) => product * side);
                entries[tensor.Name] = new { dtype = "F32", shape, data_offsets = new[] { end, end += bytes } };
            }
            var header = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(entries));
            var temporary = path + Guid.NewGuid().ToString("N");
            using (var file = File.Create(temporary))
            {
                file.Write(BitConverter.GetBytes((ulong)header.Length));
                file.Write(header);
                file.SetLength(file.Position + end);
            }
            File.Move(temporary, path, overwrite: true);
            return path;
        }
    }
}
