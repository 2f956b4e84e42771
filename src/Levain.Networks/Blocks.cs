using System.Text.RegularExpressions;

namespace Levain.Networks;

/// <summary>The U-Net of SD 1 and 2 as 25 blocks: 12 down (0, conv_in, holds no adapter), the middle at 12, 12 up.</summary>
public static partial class Blocks
{
    /// <summary>Blocks in all.</summary>
    public const int Count = 2 * Side + 1;

    /// <summary>Blocks on the way down, and as many on the way up.</summary>
    public const int Side = 12;

    private const int LayersPerBlock = 3;       // two resnets with their attentions and a downsampler, or three resnets

    /// <summary>Block of a layer by its module path, or −1.</summary>
    /// <param name="key"><c>down_blocks.1.resnets.0.conv1</c>.</param>
    public static int IndexOf(string key)
    {
        if (key.StartsWith("mid_block.", StringComparison.Ordinal)) return Side;
        var match = SideBlock().Match(key);
        if (!match.Success) return -1;
        var position = LayersPerBlock * int.Parse(match.Groups["block"].Value)
            + (match.Groups["kind"].Value is "resnets" or "attentions" ? int.Parse(match.Groups["layer"].Value) : LayersPerBlock - 1);
        return match.Groups["side"].Value == "down" ? 1 + position : 1 + Side + position;
    }

    /// <summary>The block's usual short name: IN01, MID, OUT11.</summary>
    public static string Name(int block) => block switch
    {
        < 0 => "BASE",
        < Side => $"IN{block:00}",
        Side => "MID",
        _ => $"OUT{block - Side - 1:00}",
    };

    [GeneratedRegex(@"^(?<side>up|down)_blocks\.(?<block>\d+)\.(?<kind>resnets|attentions|upsamplers|downsamplers)\.(?<layer>\d+)\.")]
    private static partial Regex SideBlock();
}
