namespace Levain.Generation;

/// <summary>What infotexts call a base and the VAE in place of its own.</summary>
/// <param name="Model">The base's name; null leaves it out.</param>
/// <param name="ModelHash">First 10 digits of its file's sha256; null leaves it out.</param>
/// <param name="Vae">File name of another VAE; null for the base's own.</param>
/// <param name="VaeHash">First 10 digits of that file's sha256.</param>
public sealed record BaseNames(string? Model = null, string? ModelHash = null, string? Vae = null, string? VaeHash = null);
