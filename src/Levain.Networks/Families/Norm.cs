using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Weight and bias of a normalisation: w' = w + m·Δw, b' = b + m·Δb.</summary>
/// <remarks>LyCORIS 4.1.3 <c>modules/norms.py</c> (<c>train_norm</c>). Other families bring it along with network.train_norm.</remarks>
public sealed class Norm : Adapter
{
    internal const string WeightName = "w_norm", BiasName = "b_norm";

    private readonly AdapterParameter weight;
    private readonly AdapterParameter? bias;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Dropouts; rank and alpha mean nothing here.</param>
    public Norm(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        weight = Declare(WeightName, site.Layer.Weight.shape);
        if (site.Layer.Bias is { } own) bias = Declare(BiasName, own.shape);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Norm;

    /// <inheritdoc/>
    public override double Scale => 1;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        weight.Value.zero_();
        bias?.Value.zero_();
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta() => Kept(weight.Value.alias());

    /// <inheritdoc/>
    public override Tensor? BiasDelta() => bias is null ? null : Kept(bias.Value.alias());

    internal override RankDrops RankDrops => Form.AsLycoris ? RankDrops.OthersRows : RankDrops.Rows;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved() => Parameters.Select(parameter => new KeyValuePair<string, Tensor>(parameter.Name, parameter.Value));

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(WeightName)) return null;
        if (!site.Layer.Shape.IsNorm) throw new CheckpointException(parts.Path, $"is for a normalisation, and {site.Layer.Key} of this base is none.", parts.Module);
        return parts.Sized(new Norm(site, new(1, 1) { Form = parts.Form }));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' norm.</summary>
    public static AdapterFamily Norm { get; } = new(
        "norm", "Weight and bias of normalisations alone (LyCORIS' train_norm)", new("https://github.com/KohakuBlueleaf/LyCORIS"),
        [Networks.Norm.WeightName, Networks.Norm.BiasName], (site, numbers) => new Norm(site, numbers), Networks.Norm.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Adapts = shape => shape.IsNorm,
        Advice = "An addition to other families (network.train_norm), seldom worth much by itself.",
    };
}
