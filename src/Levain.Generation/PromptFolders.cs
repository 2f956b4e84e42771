namespace Levain.Generation;

/// <summary>Where the names that prompts use are looked up.</summary>
public sealed record PromptFolders
{
    /// <summary>Folders of networks for <c>&lt;lora:…&gt;</c> and <c>&lt;lyco:…&gt;</c>, with all folders in them.</summary>
    public IReadOnlyList<string> Networks { get; init; } = [];

    /// <summary>Folders of hypernetworks for <c>&lt;hypernet:…&gt;</c>.</summary>
    public IReadOnlyList<string> Hypernetworks { get; init; } = [];

    /// <summary>Folders of embeddings, whose names are words of prompts.</summary>
    public IReadOnlyList<string> Embeddings { get; init; } = [];

    /// <summary>Styles files.</summary>
    public IReadOnlyList<string> Styles { get; init; } = [];

    /// <summary>Files of block weights by name (<c>lbwpresets.txt</c>), beside the extension's own.</summary>
    public IReadOnlyList<string> BlockPresets { get; init; } = [];

    /// <summary>Files of rules for layers by name (<c>elempresets.txt</c>), beside the extension's own.</summary>
    public IReadOnlyList<string> LayerPresets { get; init; } = [];
}
