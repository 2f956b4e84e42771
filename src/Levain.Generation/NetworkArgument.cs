using System.Globalization;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>Reads a network as it is named on a command line: <c>file.safetensors</c>, <c>file.safetensors:0.8</c>, <c>file.safetensors:0.5:1</c> (text encoder, U-Net).</summary>
public static class NetworkArgument
{
    private const int MostNumbers = 2;

    /// <summary>Splits numbers off the end; a colon that no number follows belongs to the path.</summary>
    public static NetworkUse Parse(string text)
    {
        var (path, numbers) = (text, new Stack<double>());
        while (numbers.Count < MostNumbers && path.LastIndexOf(':') is > 0 and var colon
            && double.TryParse(path.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
        {
            numbers.Push(number);
            path = path[..colon];
        }
        return new(path, numbers.ToArray() switch
        {
            [var both] => both,
            [var textEncoder, var unet] => new NetworkStrength(textEncoder, unet),
            _ => NetworkStrength.Full,
        });
    }
}
