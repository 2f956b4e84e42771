using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>A mapped safetensors file.</summary>
internal sealed class SafetensorsFile : TensorFile
{
    private readonly FileMapping mapping;
    private readonly Dictionary<string, long> offsets;

    private SafetensorsFile(string path, SafetensorsHeader header)
        : base(path, "safetensors", header.Metadata, header.Tensors.Select(tensor => tensor.Entry))
    {
        mapping = new(path);
        offsets = header.Tensors.ToDictionary(tensor => tensor.Entry.Name, tensor => header.DataStart + tensor.Begin, StringComparer.Ordinal);
    }

    public static SafetensorsFile OpenMapped(string path)
    {
        using var stream = File.OpenRead(path);
        return new(path, SafetensorsHeader.Read(path, stream));
    }

    private protected override Tensor ViewOf(TensorEntry entry) =>
        mapping.Values(entry.Dtype, offsets[entry.Name], entry.Count).view(entry.Shape);

    protected override void Dispose(bool disposing) => mapping.Dispose();
}
