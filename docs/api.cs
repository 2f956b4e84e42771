#!/usr/bin/env dotnet
#:property PublishAot=false
#:property GenerateDocumentationFile=false
#:property CentralPackageTransitivePinningEnabled=false

// Writes artifacts/api/ROOM.md from the XML documentation that every build leaves beside the assemblies:
//     dotnet build && dotnet run docs/api.cs

using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;

var root = Directory.GetCurrentDirectory();
var rooms = Directory.EnumerateDirectories(Path.Combine(root, "src"))
    .Select(room => (Name: Path.GetFileName(room), Docs: Newest(room))).Where(room => room.Docs is not null).OrderBy(room => room.Name, StringComparer.Ordinal).ToList();
if (rooms.Count == 0)
{
    Console.Error.WriteLine("No documentation found under src: run 'dotnet build' in the repository's root first.");
    return 1;
}
var output = Directory.CreateDirectory(Path.Combine(root, "artifacts", "api"));
var index = new StringBuilder("# API\n\n");
foreach (var (name, docs) in rooms)
{
    var members = XDocument.Load(docs!).Descendants("member").ToDictionary(member => member.Attribute("name")!.Value);
    File.WriteAllText(Path.Combine(output.FullName, name + ".md"), Page(name, members));
    index.Append($"- [{name}]({name}.md): {members.Keys.Count(key => key.StartsWith("T:", StringComparison.Ordinal))} types\n");
}
File.WriteAllText(Path.Combine(output.FullName, "README.md"), index.ToString());
Console.WriteLine($"{output.FullName}: {rooms.Count} rooms.");
return 0;

static string? Newest(string room)
{
    var bin = Path.Combine(room, "bin");
    return !Directory.Exists(bin) ? null : Directory.EnumerateFiles(bin, "*.xml", SearchOption.AllDirectories)
        .Where(file => string.Equals(Path.GetFileNameWithoutExtension(file), Path.GetFileName(room), StringComparison.OrdinalIgnoreCase))
        .MaxBy(File.GetLastWriteTimeUtc);
}

static string Page(string room, Dictionary<string, XElement> members)
{
    var page = new StringBuilder($"# {room}\n");
    foreach (var (key, type) in members.Where(member => member.Key.StartsWith("T:", StringComparison.Ordinal)).OrderBy(member => member.Key, StringComparer.Ordinal))
    {
        page.Append($"\n## {Short(key[2..], room)}\n\n");
        Describe(page, type, "");
        foreach (var (name, member) in members.Where(other => other.Key[2..].StartsWith(key[2..] + ".", StringComparison.Ordinal) && other.Key[0] != 'T' && Owner(other.Key) == key[2..]))
        {
            page.Append($"\n- `{Signature(name)}` ");
            Describe(page, member, "  ");
        }
    }
    return page.ToString();
}

static void Describe(StringBuilder page, XElement member, string indent)
{
    page.Append(Text(member.Element("summary"))).Append('\n');
    foreach (var parameter in member.Elements("param")) page.Append($"{indent}- *{parameter.Attribute("name")?.Value}*: {Text(parameter)}\n");
    if (member.Element("returns") is { } returns) page.Append($"{indent}- returns {Text(returns)}\n");
    foreach (var thrown in member.Elements("exception")) page.Append($"{indent}- throws `{thrown.Attribute("cref")?.Value[2..]}`: {Text(thrown)}\n");
    if (member.Element("remarks") is { } remarks) page.Append($"{indent}- {Text(remarks)}\n");
}

static string Text(XElement? element)
{
    if (element is null) return "";
    var words = element.Nodes().Select(node => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "c" or "code" } code => $"`{code.Value}`",
        XElement reference when reference.Attribute("cref") is { } cref => $"`{Signature(cref.Value)}`",
        XElement reference when reference.Attribute("name") is { } name => $"*{name.Value}*",
        XElement inner => Text(inner),
        _ => "",
    });
    return Regex.Replace(string.Concat(words), @"\s+", " ").Trim();
}

static string Owner(string key)
{
    var name = key[2..].Split('(')[0];
    return name[..name.LastIndexOf('.')];
}

static string Signature(string key)
{
    var parts = key[2..].Split('(', 2);
    var name = parts[0][(parts[0].LastIndexOf('.') + 1)..].Replace("#ctor", "new", StringComparison.Ordinal);
    return parts.Length == 1 ? name : $"{name}({Regex.Replace(parts[1], @"(\w+\.)+", "")}";
}

static string Short(string name, string room) => name.StartsWith(room + ".", StringComparison.Ordinal) ? name[(room.Length + 1)..] : name;
