using Levain.Generation;

namespace Levain.Cli;

/// <summary>A picture that is drawn again.</summary>
/// <param name="Path">Its file.</param>
/// <param name="Read">What it says.</param>
/// <param name="Note">Tells the user something about it.</param>
internal sealed record ToldPicture(string Path, ReadInfotext Read, Action<string> Note);
