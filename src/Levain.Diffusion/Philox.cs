namespace Levain.Diffusion;

/// <summary>Philox 4×32-10, a generator that computes its n-th number from n: what CUDA draws normal numbers from.</summary>
/// <remarks>Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405. Element n of draw k is made of the counter (k, 0, n, 0).</remarks>
public sealed class Philox(ulong seed)
{
    private const uint MultiplierA = 0xD2511F53, MultiplierB = 0xCD9E8D57, KeyStepA = 0x9E3779B9, KeyStepB = 0xBB67AE85;
    private const int Rounds = 10;
    private const float ToUnit = 2.3283064e-10f, ToTurn = 2.3283064e-10f * 6.2831855f;     // 2^-32 and 2π·2^-32 in fp32

    private uint draw;

    /// <summary>The next draw: <paramref name="count"/> numbers of deviation 1.</summary>
    public float[] Normal(int count)
    {
        var result = new float[count];
        for (var n = 0; n < count; n++)
        {
            var (a, b) = Words(draw, (uint)n);
            // Box and Muller, the sine branch
            var u = a * ToUnit + ToUnit / 2;
            var v = b * ToTurn + ToTurn / 2;
            result[n] = MathF.Sqrt(-2 * MathF.Log(u)) * MathF.Sin(v);
        }
        draw++;
        return result;
    }

    private (uint, uint) Words(uint offset, uint element)
    {
        uint c0 = offset, c1 = 0, c2 = element, c3 = 0, keyA = (uint)seed, keyB = (uint)(seed >> 32);
        for (var round = 0; round < Rounds; round++)
        {
            var (a, b) = ((ulong)c0 * MultiplierA, (ulong)c2 * MultiplierB);
            (c0, c1, c2, c3) = ((uint)(b >> 32) ^ c1 ^ keyA, (uint)b, (uint)(a >> 32) ^ c3 ^ keyB, (uint)a);
            keyA += KeyStepA;
            keyB += KeyStepB;
        }
        return (c0, c1);
    }
}
