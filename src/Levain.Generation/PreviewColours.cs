using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Colours of latents without decoding them: a linear map from a cell to the mean colour of its 8×8 px, for previews.</summary>
/// <remarks>Fitted to the autoencoder at hand by least squares over a chart of coloured fields, each two cells wide, that is encoded once.</remarks>
internal sealed class PreviewColours : IDisposable
{
    private const int Fields = 16, FieldPixels = 16, Levels = 6;

    // A field's neighbours shade its edges: the map is little disturbed by them, and a trace of ridge keeps it steady.
    private const double Ridge = 1e-3;

    private readonly Tensor map;                     // [C + 1, 3]; disposed with this

    private PreviewColours(Tensor map) => this.map = map;

    /// <summary>Fits the map.</summary>
    public static PreviewColours Fit(StableDiffusion model)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var colours = Chart();                                                           // [1, 3, Fields, Fields], −1..1
        var picture = colours.repeat_interleave(FieldPixels, 2).repeat_interleave(FieldPixels, 3);
        var latent = model.EncodeScaled(picture, tile: 0).to(CPU);
        var cells = FieldPixels / Core.LatentSize.CellPixels;
        var wanted = colours.repeat_interleave(cells, 2).repeat_interleave(cells, 3);
        var rows = WithOne(latent).to(ScalarType.Float64);
        var right = wanted.squeeze(0).flatten(1).transpose(0, 1).to(ScalarType.Float64);
        var square = rows.transpose(0, 1).matmul(rows) + eye(rows.shape[1], dtype: ScalarType.Float64) * Ridge;
        return new(linalg.solve(square, rows.transpose(0, 1).matmul(right)).to(ScalarType.Float32).DetachFromDisposeScope());
    }

    /// <summary>The colours of a latent, one px a cell.</summary>
    /// <param name="latent">Scaled, [1, 4, H, W].</param>
    public Picture Of(Tensor latent)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var colours = WithOne(latent.to(CPU)).matmul(map);                               // [H·W, 3]
        return Picture.Of(colours.transpose(0, 1).reshape(1, 3, latent.shape[2], latent.shape[3]));
    }

    /// <inheritdoc/>
    public void Dispose() => map.Dispose();

    private static Tensor WithOne(Tensor latent)
    {
        var cells = latent.squeeze(0).flatten(1).transpose(0, 1).to(ScalarType.Float32);
        return cat([cells, ones(cells.shape[0], 1)], 1);
    }

    /// <summary>Every combination of six levels of red, green and blue, spread so that neighbours differ.</summary>
    private static Tensor Chart()
    {
        var values = new float[3 * Fields * Fields];
        const int Stride = 89;                                                           // has no factor in common with 6³
        for (var field = 0; field < Fields * Fields; field++)
        {
            var colour = field * Stride % (Levels * Levels * Levels);
            for (var c = 0; c < 3; c++, colour /= Levels) values[c * Fields * Fields + field] = colour % Levels * 2f / (Levels - 1) - 1;
        }
        return tensor(values, 1, 3, Fields, Fields);
    }
}
