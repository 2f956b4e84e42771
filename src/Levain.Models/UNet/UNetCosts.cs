namespace Levain.Models;

/// <summary>Estimates of what the U-Net's blocks keep for their backward pass and of their work.</summary>
internal static class UNetCosts
{
    // Feature maps a recorded block keeps, in maps of its own output, counted from the operations: norm, SiLU and convolution inputs of a resnet;
    // of a transformer block the inputs of norms and adapters, q, k, v, attention over the text, and the eightfold and two fourfold feed-forward states.
    private const double ResnetMaps = 6, InputMaps = 3, TransformerMaps = 3, TransformerBlockMaps = 29;
    private const double ConvTaps = 9, TokenProducts = 22;      // multiplications per cell and channel pair: 3×3, and a transformer block's linear layers

    public static IReadOnlyList<BlockCost> Of(UNetSpec spec, long batch, long height, long width, long bytes)
    {
        var found = new List<BlockCost>();
        var (channels, last) = (spec.Channels, spec.Channels.Count - 1);
        var skips = new Stack<long>([channels[0]]);
        for (var level = 0; level <= last; level++)
        {
            for (var i = 0; i < spec.ResnetsPerLevel; i++)
            {
                Add($"down_blocks.{level}.{i}", level, i == 0 ? channels[Math.Max(level - 1, 0)] : channels[level], channels[level], spec.Depths[level]);
                skips.Push(channels[level]);
            }
            if (level < last) skips.Push(channels[level]);
        }
        Add("mid_block", last, channels[last], channels[last], spec.MiddleDepth);
        for (var level = last; level >= 0; level--)
        {
            for (var i = 0; i <= spec.ResnetsPerLevel; i++)
                Add($"up_blocks.{last - level}.{i}", level, (i == 0 ? channels[Math.Min(level + 1, last)] : channels[level]) + skips.Pop(), channels[level], spec.Depths[level]);
        }
        return found;

        void Add(string name, int level, long inputs, long outputs, int depth)
        {
            double cells = batch * (height >> level) * (width >> level);
            var maps = ResnetMaps + InputMaps * (inputs - outputs) / outputs + (depth > 0 ? TransformerMaps + TransformerBlockMaps * depth : 0);
            var tokens = cells / batch;
            var work = cells * (ConvTaps * outputs * (inputs + outputs) + depth * (TokenProducts * outputs * outputs + 2 * tokens * outputs));
            found.Add(new(name, (long)(cells * outputs * maps * bytes), work));
        }
    }
}
