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

    /// <summary>Writes the picture with its infotext as a PNG, whole or not at all.</summary>
    public void Save(string path) => PngFile.Write(path, Picture, Infotext);
}

/// <summary>How far a picture is.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Steps">Steps in all.</param>
public readonly record struct GenerationProgress(int Step, int Steps);
