namespace Levain.Core;

/// <summary>
/// Marks a static partial class as a catalog. It declares <c>public static partial IReadOnlyList&lt;T&gt; All { get; }</c>, and each file
/// of the family adds one static property of type T; the <c>Levain.Catalogs</c> source generator writes <c>All</c> at compile time.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class CatalogAttribute : Attribute;
