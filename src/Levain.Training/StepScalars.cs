namespace Levain.Training;

/// <summary>What is logged of a batch, under kohya's tag names and in its order.</summary>
internal static class StepScalars
{
    /// <param name="loss">Loss of the batch.</param>
    /// <param name="average">Mean over an epoch's worth of batches.</param>
    /// <param name="norms">What the weight-norm limit did; null without one.</param>
    /// <param name="rates">Rate of each group.</param>
    /// <param name="leftovers">K-29: kohya's second loop, which logs the groups again under numbers.</param>
    /// <param name="unetOnly">Whether only the U-Net has adapters.</param>
    public static IReadOnlyList<KeyValuePair<string, double>> Of(double loss, double average, (int Scaled, double Mean, double Max)? norms,
        IReadOnlyList<GroupRate> rates, bool leftovers, bool unetOnly)
    {
        var scalars = new OrderedDictionary<string, double> { ["loss/current"] = loss, ["loss/average"] = average };
        if (norms is var (scaled, mean, max))
        {
            scalars["max_norm/keys_scaled"] = scaled;
            scalars["max_norm/max_key_norm"] = max;
            scalars["norm/avg_key_norm"] = mean;
        }
        foreach (var rate in rates) note(rate.Name, rate);
        if (!leftovers) return [.. scalars];
        if (!unetOnly) note("textencoder", rates[0]);
        for (var group = unetOnly ? 0 : 1; group < rates.Count; group++) note($"group{group}", rates[group]);
        return [.. scalars];

        void note(string name, GroupRate rate)
        {
            scalars["lr/" + name] = rate.Rate;
            if (rate.Distance is { } distance) scalars["lr/d*lr/" + name] = distance * rate.Rate;
        }
    }
}
