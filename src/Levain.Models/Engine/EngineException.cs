namespace Levain.Models;

/// <summary>The arithmetic library cannot be used on this machine as asked; the message says why and what to do. Exit code 1.</summary>
public sealed class EngineException(string message, Exception? cause = null) : Exception(message, cause);
