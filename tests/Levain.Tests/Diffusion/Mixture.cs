using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

/// <summary>A denoiser that is known exactly: data are an equal mixture of three Gaussians (tests/golden/sampling/README.md).</summary>
internal sealed class Mixture
{
    private const double Deviation = 0.5;
    private const int Latent = 4 * 8 * 8;

    private readonly double[][] means;
    private readonly double[] table;

    public Mixture(string tag, IEnumerable<float> sigmas)
    {
        using var scope = NewDisposeScope();
        means = [.. Enumerable.Range(0, 3).Select(k => Doubles(Synth.Input($"{tag}.mean.{k}", 1, 4, 8, 8)))];
        table = [.. sigmas.Select(sigma => (double)sigma)];
    }

    /// <summary>D(x, σ); logits by batch item shift the mixture.</summary>
    public Tensor Denoise(Tensor x, double sigma, double[][]? logits = null)
    {
        var values = Doubles(x);
        var result = new float[values.Length];
        for (var item = 0; item * Latent < values.Length; item++)
            Denoise(values.AsSpan(item * Latent, Latent), sigma, logits?[item], out _).Select(value => (float)value).ToArray().CopyTo(result, item * Latent);
        return tensor(result, x.shape);
    }

    /// <summary>The stand-in for a U-Net: ε (or v) for a scaled latent and a possibly fractional timestep.</summary>
    public Tensor Predict(Tensor scaled, double[] times, double[][]? logits = null, bool v = false)
    {
        var values = Doubles(scaled);
        var result = new float[values.Length];
        for (var item = 0; item * Latent < values.Length; item++)
        {
            var t = Math.Clamp(times[item], 0, table.Length - 1);
            var share = t - Math.Floor(t);
            var sigma = Math.Exp((1 - share) * Math.Log(table[(int)Math.Floor(t)]) + share * Math.Log(table[(int)Math.Ceiling(t)]));
            var scale = Math.Sqrt(sigma * sigma + 1);
            var x = values.AsSpan(item * Latent, Latent).ToArray().Select(value => value * scale).ToArray();
            var clean = Denoise(x, sigma, logits?[item], out _);
            for (var i = 0; i < Latent; i++)
            {
                var noise = (x[i] - clean[i]) / sigma;
                result[item * Latent + i] = (float)(v ? noise / scale - clean[i] * sigma / scale : noise);
            }
        }
        return tensor(result, scaled.shape);
    }

    private double[] Denoise(ReadOnlySpan<double> x, double sigma, double[]? logits, out double[] shares)
    {
        var variance = Deviation * Deviation + sigma * sigma;
        var logs = new double[means.Length];
        for (var k = 0; k < logs.Length; k++)
        {
            var distance = 0.0;
            for (var i = 0; i < Latent; i++) distance += (x[i] - means[k][i]) * (x[i] - means[k][i]);
            logs[k] = (logits?[k] ?? 0) - distance / (2 * variance);
        }
        var most = logs.Max();
        shares = [.. logs.Select(log => Math.Exp(log - most))];
        var sum = shares.Sum();
        var result = new double[Latent];
        for (var k = 0; k < logs.Length; k++)
            for (var i = 0; i < Latent; i++)
                result[i] += shares[k] / sum * (means[k][i] + Deviation * Deviation / variance * (x[i] - means[k][i]));
        return result;
    }

    private static double[] Doubles(Tensor x)
    {
        using var scope = NewDisposeScope();
        return [.. x.to(ScalarType.Float32).contiguous().data<float>().ToArray().Select(value => (double)value)];
    }
}
