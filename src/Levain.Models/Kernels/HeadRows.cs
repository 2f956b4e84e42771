using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Queries, keys, values or their gradients as they lie in memory: [B, heads, tokens, d], fp32 or bf16, d dense.</summary>
internal readonly unsafe struct HeadRows
{
    private readonly byte* memory;
    private readonly long batchStride, headStride, heads;
    private readonly nint tokenStride;
    private readonly bool half;

    /// <param name="tensor">Has to be kept alive beside this.</param>
    public HeadRows(Tensor tensor)
    {
        (Batch, heads, Tokens, Width) = (tensor.size(0), tensor.size(1), (int)tensor.size(2), (int)tensor.size(3));
        (batchStride, headStride, tokenStride) = (tensor.stride(0), tensor.stride(1), (nint)tensor.stride(2));
        half = tensor.dtype == ScalarType.BFloat16;
        memory = (byte*)TensorMemory.Address(tensor);
    }

    public long Batch { get; }
    public int Tokens { get; }
    public int Width { get; }

    /// <summary>Batch × heads.</summary>
    public int Count => (int)(Batch * heads);

    /// <summary>Whether <see cref="Bf16Product"/> reads these rows as they lie.</summary>
    public bool SuitsBf16 => half && Width % 2 == 0 && Bf16Product.IsAvailable;

    /// <summary>From one bf16 token of a head to the next.</summary>
    public nint Stride => tokenStride;

    /// <summary>Whether a tensor can be read as it lies.</summary>
    public static bool Fits(Tensor tensor) => tensor.stride(3) == 1 && tensor.dtype is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>Floats that <see cref="Rows"/> may need for tokens whose number is rounded up to <paramref name="tokens"/> and width to <paramref name="width"/>.</summary>
    public static long Room(int tokens, int width) => Scratch.Whole((long)tokens * width);

    /// <summary>One head's tokens as rows of fp32 with <paramref name="width"/> readable columns, those above d zero: where they lie if they do so, else a copy.</summary>
    /// <param name="copies">Where the copy is cut from.</param>
    /// <param name="tokens">Rows that must be readable; those above the head's tokens are zero.</param>
    public (nint Rows, nint Stride) Rows(int head, Scratch copies, int tokens, int width)
    {
        if (!half && width == Width && tokens == Tokens) return ((nint)((float*)memory + Offset(head, 0)), tokenStride);
        var to = copies.Cut((long)tokens * width);
        Copy(head, 0, Tokens, to, tokens, width);
        return ((nint)to, width);
    }

    /// <summary>Where a bf16 token of one head lies.</summary>
    public ushort* At(int head, int token) => (ushort*)memory + Offset(head, token);

    /// <summary>Copies some tokens of one head to rows of <paramref name="width"/>; columns above d and rows above <paramref name="count"/> become zero.</summary>
    public void Copy(int head, int from, int count, float* to, int rows, int width)
    {
        for (var token = 0; token < count; token++) Read(head, from + token, to + (long)token * width, width, 1);
        new Span<float>(to + (long)count * width, (rows - count) * width).Clear();
    }

    /// <summary>Tokens of one head in groups of 32, for each channel those of a group side by side, times <paramref name="factor"/>: [⌈count/32⌉, d, 32]. Missing tokens are zero.</summary>
    /// <param name="room">32 rows of d rounded up to sixteens, to work in.</param>
    public void Groups(int head, int from, int count, float* to, float* room, float factor)
    {
        var width = Tiles.RoundUp(Width, Tiles.Lanes);
        var turned = room + Tiles.Columns * width;
        for (var group = 0; group < count; group += Tiles.Columns, to += Tiles.Columns * Width)
        {
            for (var token = 0; token < Tiles.Columns; token++)
            {
                if (group + token < count) Read(head, from + group + token, room + token * width, width, factor);
                else new Span<float>(room + token * width, width).Clear();
            }
            for (var channel = 0; channel < width; channel += Tiles.Lanes)
            {
                // The last square may hold more channels than there are.
                var whole = channel + Tiles.Lanes <= Width;
                var into = whole ? to + channel * Tiles.Columns : turned;
                Tiles.Turn(room + channel, width, into, Tiles.Columns);
                Tiles.Turn(room + Tiles.Lanes * width + channel, width, into + Tiles.Lanes, Tiles.Columns);
                if (!whole) new Span<float>(turned, (Width - channel) * Tiles.Columns).CopyTo(new(to + channel * Tiles.Columns, (Width - channel) * Tiles.Columns));
            }
        }
    }

    /// <summary>Floats that <see cref="Groups"/> needs to work in.</summary>
    public static long GroupRoom(int width) => Tiles.Columns * Tiles.RoundUp(width, Tiles.Lanes) + Tiles.Lanes * Tiles.Columns;

    /// <summary>Writes up to 32 tokens of one head that lie side by side for each channel, each times its factor.</summary>
    /// <param name="values">Rows of channels; readable up to the next multiple of sixteen.</param>
    /// <param name="stride">From one row of values to the next.</param>
    /// <param name="room">As for <see cref="Groups"/>.</param>
    /// <param name="factors">One for each of the 32.</param>
    public void Ungroup(int head, int from, int count, float* values, nint stride, float* room, float* factors)
    {
        var width = Tiles.RoundUp(Width, Tiles.Lanes);
        for (var channel = 0; channel < width; channel += Tiles.Lanes)
        {
            Tiles.Turn(values + channel * stride, stride, room + channel, width);
            Tiles.Turn(values + channel * stride + Tiles.Lanes, stride, room + Tiles.Lanes * width + channel, width);
        }
        for (var token = 0; token < count; token++) Write(head, from + token, room + token * width, factors[token]);
    }

    /// <summary>Writes one token of one head, times <paramref name="factor"/>.</summary>
    public void Write(int head, int token, float* values, float factor)
    {
        var at = Offset(head, token);
        if (half) Numbers.ToBf16(values, (ushort*)memory + at, Width, factor);
        else Numbers.Scale(values, (float*)memory + at, Width, factor);
    }

    /// <summary>Reads one token's channels, times <paramref name="factor"/>, then zeros up to <paramref name="width"/>.</summary>
    public void Read(int head, int token, float* to, int width, float factor)
    {
        var at = Offset(head, token);
        if (half) Numbers.FromBf16((ushort*)memory + at, to, Width, factor);
        else Numbers.Scale((float*)memory + at, to, Width, factor);
        for (var c = Width; c < width; c++) to[c] = 0;
    }

    private long Offset(int head, int token) => head / heads * batchStride + head % heads * headStride + token * tokenStride;
}
