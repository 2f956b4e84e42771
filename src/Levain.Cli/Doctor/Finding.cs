namespace Levain.Cli.Doctor;

/// <summary>One thing <c>levain doctor</c> looked at.</summary>
/// <param name="What">The thing: <c>libtorch</c>, <c>memory</c>.</param>
/// <param name="Found">What was found, numbers with their units.</param>
/// <param name="Advice">What to do about it; null where nothing needs mending.</param>
/// <param name="Blocks">Whether Levain cannot train until it is mended.</param>
internal sealed record Finding(string What, string Found, string? Advice = null, bool Blocks = false);
