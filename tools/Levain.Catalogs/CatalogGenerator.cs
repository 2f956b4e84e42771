using System.Linq;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Levain.Catalogs;

/// <summary>
/// Writes <c>All</c> for every partial class marked <c>[Catalog]</c>: its static properties of the catalog's item type, in
/// ordinal name order. No reflection, no list to forget: a file that adds a property has added an entry.
/// </summary>
[Generator]
public sealed class CatalogGenerator : IIncrementalGenerator
{
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        var catalogs = context.SyntaxProvider.ForAttributeWithMetadataName(
            "Levain.Core.CatalogAttribute",
            (node, _) => node is ClassDeclarationSyntax,
            (found, _) => Write((INamedTypeSymbol)found.TargetSymbol));
        context.RegisterSourceOutput(catalogs, (output, file) => output.AddSource(file.Name, file.Text));
    }

    private static (string Name, string Text) Write(INamedTypeSymbol catalog)
    {
        var properties = catalog.GetMembers().OfType<IPropertySymbol>().Where(p => p.IsStatic).ToList();
        var all = properties.FirstOrDefault(p => p.Name == "All");
        var item = ((INamedTypeSymbol)all.Type).TypeArguments[0];
        var entries = properties
            .Where(p => p.Name != "All" && SymbolEqualityComparer.Default.Equals(p.Type, item))
            .Select(p => p.Name).OrderBy(name => name, System.StringComparer.Ordinal);
        var access = catalog.DeclaredAccessibility == Accessibility.Public ? "public" : "internal";
        var itemName = item.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat);
        var text = new StringBuilder("#nullable enable\n")
            .Append("namespace ").Append(catalog.ContainingNamespace.ToDisplayString()).Append(";\n\n")
            .Append(access).Append(" static partial class ").Append(catalog.Name).Append("\n{\n")
            // A lazy holder: static properties of a partial class initialise in file order, which is not ours to choose.
            .Append("    private static class Entries\n    {\n        internal static readonly ").Append(itemName).Append("[] Values =\n        [\n");
        foreach (var entry in entries) text.Append("            ").Append(entry).Append(",\n");
        text.Append("        ];\n    }\n\n    public static partial global::System.Collections.Generic.IReadOnlyList<")
            .Append(itemName).Append("> All => Entries.Values;\n}\n");
        return (catalog.ToDisplayString() + ".g.cs", text.ToString());
    }
}
