using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Levain.Models;

/// <summary>Tokens of one head, in the orders in which <see cref="Bf16Product"/> takes its factors.</summary>
internal static unsafe class Bf16HeadRows
{
    /// <summary>Floats that <see cref="Pairs"/> and <see cref="Turn"/> need to work in.</summary>
    public static long Room(int width) => Tiles.Lanes * Tiles.RoundUp(width, Tiles.Lanes) + Tiles.Lanes * Tiles.Lanes;

    /// <summary>Tokens as columns: pairs of channels, [d/2 rounded up to sixteens, <paramref name="columns"/>]. Missing tokens are zero.</summary>
    /// <param name="columns">A multiple of sixteen.</param>
    public static void Pairs(this in HeadRows rows, int head, int from, int count, uint* to, int columns, float* room)
    {
        var units = rows.Width / 2;
        var stride = Tiles.RoundUp(units, Tiles.Lanes);
        for (var group = 0; group < columns; group += Tiles.Lanes)
        {
            new Span<float>(room, Tiles.Lanes * stride).Clear();
            for (var token = 0; token < Math.Min(Tiles.Lanes, count - group); token++)
                new Span<uint>(rows.At(head, from + group + token), units).CopyTo(new(room + token * stride, units));
            for (var unit = 0; unit < stride; unit += Tiles.Lanes) Tiles.Turn(room + unit, stride, (float*)to + unit * columns + group, columns);
        }
    }

    /// <summary>Tokens as rows, in pairs: [⌈count/2⌉, d]. A missing one is zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RowPairs(this in HeadRows rows, int head, int from, int count, uint* to)
    {
        for (var token = 0; token < count; token += 2, to += rows.Width)
        {
            ushort* even = rows.At(head, from + token), odd = rows.At(head, from + Math.Min(token + 1, count - 1));
            var mask = token + 1 < count ? uint.MaxValue : 0;
            var c = 0;
            for (; c <= rows.Width - Tiles.Lanes; c += Tiles.Lanes) (Bf16Product.Widened(even + c) | ((Bf16Product.Widened(odd + c) << Bf16Product.Shift) & Vector512.Create(mask))).Store(to + c);
            for (; c < rows.Width; c++) to[c] = even[c] | (((uint)odd[c] << Bf16Product.Shift) & mask);
        }
    }

    /// <summary>Channels as rows: [d, <paramref name="columns"/>]. Missing tokens are zero.</summary>
    /// <param name="columns">The number of tokens, rounded up to sixteens.</param>
    public static void Turn(this in HeadRows rows, int head, ushort* to, int columns, float* room)
    {
        var width = Tiles.RoundUp(rows.Width, Tiles.Lanes);
        var turned = room + Tiles.Lanes * width;
        for (var token = 0; token < columns; token += Tiles.Lanes)
        {
            for (var i = 0; i < Tiles.Lanes; i++)
            {
                if (token + i < rows.Tokens) rows.Read(head, token + i, room + i * width, width, 1);
                else new Span<float>(room + i * width, width).Clear();
            }
            for (var channel = 0; channel < rows.Width; channel += Tiles.Lanes)
            {
                Tiles.Turn(room + channel, width, turned, Tiles.Lanes);
                for (var i = 0; i < Math.Min(Tiles.Lanes, rows.Width - channel); i++)
                    Numbers.ToBf16(turned + i * Tiles.Lanes, to + (long)(channel + i) * columns + token, Tiles.Lanes, 1);
            }
        }
    }
}
