using System.Runtime.InteropServices;

namespace Levain.Models;

/// <summary>Working memory of one thread, kept from call to call and cut into pieces of 64-byte alignment.</summary>
internal sealed unsafe class Scratch
{
    private const nuint Line = 64;

    [ThreadStatic] private static Scratch? mine;
    private float* memory;
    private nuint capacity, used;

    ~Scratch() => NativeMemory.AlignedFree(memory);

    /// <summary>This thread's, with room for that many floats. What was cut before is gone.</summary>
    public static Scratch Of(long floats)
    {
        var scratch = mine ??= new();
        scratch.used = 0;
        var wanted = (nuint)floats;
        if (wanted <= scratch.capacity) return scratch;
        NativeMemory.AlignedFree(scratch.memory);
        scratch.memory = null;
        scratch.capacity = 0;
        scratch.memory = (float*)NativeMemory.AlignedAlloc(wanted * sizeof(float), Line);
        scratch.capacity = wanted;
        return scratch;
    }

    /// <summary>The next <paramref name="floats"/>, with any content.</summary>
    /// <exception cref="InvalidOperationException">More is cut than was asked for.</exception>
    public float* Cut(long floats)
    {
        var piece = memory + used;
        used += (nuint)Whole(floats);
        return used <= capacity ? piece : throw new InvalidOperationException("A kernel cuts more working memory than it reserved.");
    }

    /// <summary>Floats that <see cref="Cut"/> takes for so many.</summary>
    public static long Whole(long floats) => (floats + 15) / 16 * 16;
}
