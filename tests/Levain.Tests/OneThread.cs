using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Levain.Tests;

internal static class OneThread
{
    /// <summary>Test classes run beside one another on all cores, so each computes on one: libtorch's threads wait for one another spinning.</summary>
    [ModuleInitializer]
    internal static void Start() => set_num_threads(1);
}
