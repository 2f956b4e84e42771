using System.Text.Json;
using Levain.Core;

namespace Levain.Data;

/// <summary>A batch whose pictures, flips and captions are decided but not yet used.</summary>
/// <param name="Part">Index in <see cref="Dataset.Parts"/>.</param>
/// <param name="Index">Index of the batch in the epoch, over all parts.</param>
/// <param name="Size">Size of its pictures, px.</param>
/// <param name="Samples">Its pictures.</param>
public sealed record BatchPlan(int Part, int Index, PixelSize Size, IReadOnlyList<Sample> Samples);

/// <summary>Where a <see cref="BatchLoader"/> stands. Together with the run's two generators it lets another process go on with the very next batch.</summary>
public sealed record LoaderState
{
    private static readonly JsonSerializerOptions Json = new() { IncludeFields = true };

    /// <summary>The epoch, from 1; 0 before the first.</summary>
    public required int Epoch { get; init; }

    /// <summary>Order of the epoch's batches; empty before the first epoch.</summary>
    public required long[] Order { get; init; }

    /// <summary>How many of them were fetched.</summary>
    public required int Fetched { get; init; }

    /// <summary>The batch that is fetched but not used; null at the end of an epoch.</summary>
    public BatchPlan? Pending { get; init; }

    /// <summary>Optimizer steps made.</summary>
    public required int Step { get; init; }

    /// <summary>Whether the workers live on in the next epoch.</summary>
    public bool Living { get; init; }

    /// <summary>Whoever fetches batches: the run itself, or kohya's workers.</summary>
    public required WorkerState[] Fetchers { get; init; }

    /// <summary>As UTF-8 JSON.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    public static LoaderState FromBytes(ReadOnlySpan<byte> bytes) => JsonSerializer.Deserialize<LoaderState>(bytes, Json)!;
}
