using System.CommandLine;

namespace Levain.Cli;

/// <summary>Options as they were written, told apart from their defaults: where a picture or a file says something too, only what was written goes before it.</summary>
internal static class WrittenOptions
{
    /// <summary>Whether an option was written.</summary>
    public static bool IsWritten(this ParseResult given, Option option) => given.GetResult(option) is { Implicit: false };

    /// <summary>An option's value where it was written; else <paramref name="otherwise"/>.</summary>
    public static T Written<T>(this ParseResult given, Option<T> option, T otherwise) => given.IsWritten(option) ? given.GetValue(option)! : otherwise;

    /// <summary>An option's value where it was written; else <paramref name="otherwise"/>, and the option's default where that is null.</summary>
    public static T Written<T>(this ParseResult given, Option<T> option, T? otherwise) where T : struct => given.IsWritten(option) || otherwise is null ? given.GetValue(option) : otherwise.Value;
}
