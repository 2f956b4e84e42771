namespace Levain.Training;

/// <summary>A run that cannot go on: what happened, the likely cause, and what to do.</summary>
public sealed class RunException(string message, Exception? inner = null) : Exception(message, inner);
