using System.CommandLine;
using Levain.Core;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli;

/// <summary>The words of commands that read prompts: folders and files in which names of prompts are looked up.</summary>
internal sealed class PromptNameArguments
{
    private readonly Option<string[]> networks = new("--lora-dir") { Description = "A folder of LoRAs for <lora:NAME:0.8> in prompts. May be given several times.", HelpName = "FOLDER" };
    private readonly Option<string[]> hypernetworks = new("--hypernet-dir") { Description = "A folder of hypernetworks for <hypernet:NAME:1> in prompts.", HelpName = "FOLDER" };
    private readonly Option<string[]> embeddings = new("--embeddings-dir") { Description = "A folder of embeddings, whose file names are words of prompts.", HelpName = "FOLDER" };
    private readonly Option<string[]> styles = new("--styles") { Description = "A styles file (CSV: name,prompt,negative_prompt).", HelpName = "FILE" };
    private readonly Option<string[]> blocks = new("--block-presets") { Description = "Block weights by name for <lora:NAME:1:lbw=PRESET> (lbwpresets.txt), beside the usual ones.", HelpName = "FILE" };
    private readonly Option<string[]> layers = new("--layer-presets") { Description = "Rules for single layers by name for lbwe=PRESET (elempresets.txt).", HelpName = "FILE" };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        foreach (var option in (Option[])[networks, hypernetworks, embeddings, styles, blocks, layers]) command.Options.Add(option);
        return command;
    }

    /// <summary>What was given.</summary>
    public PromptFolders Folders(ParseResult given) => new()
    {
        Networks = given.GetValue(networks) ?? [],
        Hypernetworks = given.GetValue(hypernetworks) ?? [],
        Embeddings = given.GetValue(embeddings) ?? [],
        Styles = given.GetValue(styles) ?? [],
        BlockPresets = given.GetValue(blocks) ?? [],
        LayerPresets = given.GetValue(layers) ?? [],
    };

    /// <summary>Adds a problem for every folder that is not there, also where no prompt happens to look into it.</summary>
    public void Check(ParseResult given, Problems problems)
    {
        foreach (var option in (Option<string[]>[])[networks, hypernetworks, embeddings])
            foreach (var folder in given.GetValue(option) ?? []) problems.Require(Directory.Exists(folder), option.Name, $"names {folder}, which is no folder.", "Check the path.");
    }

    /// <summary>The lines of a prompts file; none where no file is named.</summary>
    public static IReadOnlyList<PromptLine> Lines(string? file, Problems problems, Screen screen)
    {
        if (file is null) return [];
        if (!File.Exists(file))
        {
            problems.Add("--prompts-file", $"names {file}, which is no file.", "Check the path.");
            return [];
        }
        var lines = PromptLine.Read(File.ReadAllText(file));
        problems.Require(lines.Count > 0, "--prompts-file", $"names {file}, which holds no line.", "Write one prompt a line.");
        foreach (var line in lines.Where(line => line.Mistake is not null)) screen.Note($"[yellow]{Markup.Escape($"{line.Options["prompt"]}: read as a prompt as a whole, because {line.Mistake}.")}[/]");
        return lines;
    }
}
