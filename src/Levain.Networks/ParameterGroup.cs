namespace Levain.Networks;

/// <summary>Parameters that share a learning rate: one slice of the network's flat buffers.</summary>
/// <param name="Name">As kohya logs it: <c>textencoder</c>, <c>unet</c>, <c>unet_block12</c>, with <c> plus</c> for LoRA+.</param>
/// <param name="Rate">Learning rate before any schedule.</param>
/// <param name="Start">First element.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="Parameters">The tensors in it, in order.</param>
public sealed record ParameterGroup(string Name, double Rate, long Start, long Length, IReadOnlyList<AdapterParameter> Parameters);
