namespace Levain.Models;

/// <summary>One block of the U-Net as the memory plan sees it.</summary>
/// <param name="Name">Its place: <c>down_blocks.0.0</c>.</param>
/// <param name="Bytes">What it keeps for its backward pass when it is recorded; an estimate.</param>
/// <param name="Work">Multiplications of one forward pass, to compare blocks by; an estimate.</param>
public sealed record BlockCost(string Name, long Bytes, double Work);

/// <summary>Which blocks of the U-Net are recomputed in the backward pass instead of being kept.</summary>
/// <param name="Recomputed">Names of the recomputed blocks.</param>
/// <param name="Kept">Bytes that the recorded blocks keep; an estimate.</param>
public sealed record MemoryPlan(IReadOnlySet<string> Recomputed, long Kept)
{
    // Room for what blocks do not keep: weights' working copies, the optimizer, the runtime, the rest of the system.
    private const long Reserve = 1L << 30;

    /// <summary>Chooses for one size of input. Recomputing changes no bit of the result, so the plan may differ between machines.</summary>
    /// <param name="policy">What the user asked for.</param>
    /// <param name="blocks">Every block.</param>
    /// <param name="available">Bytes that can be had; see <see cref="SystemMemory.Available"/>.</param>
    public static MemoryPlan Choose(MemoryPolicy policy, IReadOnlyList<BlockCost> blocks, long available)
    {
        if (policy == MemoryPolicy.Lean) return new(blocks.Select(block => block.Name).ToHashSet(), 0);
        var recomputed = new HashSet<string>();
        var kept = blocks.Sum(block => block.Bytes);
        if (policy == MemoryPolicy.Auto)
        {
            // First what frees most memory for the least work.
            foreach (var block in blocks.OrderByDescending(block => block.Bytes / block.Work))
            {
                if (kept + Reserve <= available) break;
                recomputed.Add(block.Name);
                kept -= block.Bytes;
            }
        }
        return new(recomputed, kept);
    }
}
