using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Finds the adaptable layers of a model.</summary>
internal static class AdaptableLayers
{
    /// <summary>Gives every adaptable layer below <paramref name="model"/> its key and owners, and lists them in the order of registration, a module before its children.</summary>
    public static IReadOnlyList<IAdaptableLayer> NameIn(nn.Module model)
    {
        var found = new List<IAdaptableLayer>();
        Walk(model, "", []);
        return found;

        void Walk(nn.Module module, string path, IReadOnlyList<string> owners)
        {
            foreach (var (name, child) in module.named_children())
            {
                var key = path.Length == 0 ? name : $"{path}.{name}";
                if (child is AdaptableLayer layer)
                {
                    (layer.Key, layer.Owners) = (key, owners);
                    found.Add(layer);
                }
                else
                {
                    Walk(child, key, IsList(child) ? owners : [.. owners, child.GetName()]);
                }
            }
        }
    }

    // A list of modules is a place, not an owner: target lists name what a layer belongs to.
    private static bool IsList(nn.Module module) => module.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(TorchSharp.Modules.ModuleList<>);
}
