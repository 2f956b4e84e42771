using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>Comments of a prompt: from <c>#</c> to the end of its line.</summary>
/// <remarks>AUTOMATIC1111's webui 1.8 and later, <c>processing_scripts/comments.py</c>.</remarks>
public static partial class PromptComments
{
    /// <summary>The prompt without comments. A line that is nothing else goes with its line break; behind a word a line break stays, even at the prompt's end.</summary>
    public static string Strip(string prompt) => Rest().Replace(WholeLine().Replace(prompt, "\n"), "\n");

    [GeneratedRegex(@"(^|\n)#[^\n]*(\n|$)")]
    private static partial Regex WholeLine();

    [GeneratedRegex(@"#[^\n]*(\n|$)")]
    private static partial Regex Rest();
}
