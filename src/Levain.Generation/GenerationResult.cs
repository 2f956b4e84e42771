namespace Levain.Generation;

/// <summary>A picture that was drawn.</summary>
/// <param name="Request">What was asked for.</param>
/// <param name="Picture">The picture.</param>
/// <param name="Infotext">All that is needed to draw it again, in the webui's words; PNG files carry it.</param>
public sealed record GenerationResult(GenerationRequest Request, Picture Picture, string Infotext)
{
    /// <summary>What the user should know about this picture: a network that fits only partly, a tag that was left out.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>What each network did, in the order in which they act.</summary>
    public IReadOnlyList<NetworkEffect> Networks { get; init; } = [];

    /// <summary>Writes the picture with its infotext, whole or not at all: as PNG, JPEG or WebP, by the path's ending.</summary>
    public void Save(string path) => PictureFile.Write(path, Picture, Infotext);
}

/// <summary>How far a picture is.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Steps">Steps in all, both passes together.</param>
public readonly record struct GenerationProgress(int Step, int Steps)
{
    /// <summary>Which batch, counted from 0.</summary>
    public int Batch { get; init; }

    /// <summary>Draws the batch's first picture as it is now, an eighth as large, from a linear map of its latent. Only during the report.</summary>
    public Func<Picture>? Preview { get; init; }
}
