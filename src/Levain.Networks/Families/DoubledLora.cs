using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A low-rank product that starts elsewhere than at zero, less a frozen copy of where it started: ΔW = s·(up·down − up₀·down₀). The base stays as it
/// is, and the file is a plain LoRA of twice the rank.
/// </summary>
public abstract class DoubledLora : Adapter
{
    private protected readonly AdapterParameter down, up;
    private readonly AdapterParameter? down0, up0;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts; the rank is no larger than the layer's smaller side.</param>
    /// <param name="startsAtZero">Whether the product is zero at first although its halves are not, so that no copy is needed.</param>
    private protected DoubledLora(AdapterSite site, AdapterNumbers numbers, bool startsAtZero = false) : base(site, numbers)
    {
        var shape = site.Layer.Shape;
        var width = shape.In * shape.Kernel.H * shape.Kernel.W;
        (down, up) = (Declare(LierLa.DownName, [numbers.Rank, width]), Declare(LierLa.UpName, [shape.Out, numbers.Rank], plus: true));
        if (!startsAtZero) (down0, up0) = (Declare("start_down", [numbers.Rank, width], frozen: true), Declare("start_up", [shape.Out, numbers.Rank], frozen: true));
    }

    /// <inheritdoc/>
    public override bool PrefersWeight => LierLa.IsLarge(Site.Layer, 2 * (down.Length + up.Length));

    /// <summary>Where the halves start.</summary>
    /// <param name="weight">The layer's weight, [Out, In·k²], fp32.</param>
    /// <param name="generator">The run's generator.</param>
    /// <returns>up [Out, r] and down [r, In·k²]; the caller's scope owns them.</returns>
    private protected abstract (Tensor Up, Tensor Down) Start(Tensor weight, Generator generator);

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (first, second) = Start(BaseMatrix(), generator);
        up.Value.copy_(first);
        down.Value.copy_(second);
        up0?.Value.copy_(first);
        down0?.Value.copy_(second);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return Up().mm(Down()).mul(Scale).view(Site.Layer.Weight.shape).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var (layer, factor) = (Site.Layer, (float)(strength * Scale));
        if (y is null && Pass.Suits(layer)) return LowRankPass.Run(layer, x, Down(), Up(), factor, null, trained: (0, Numbers.Rank)).MoveToOuterDisposeScope();
        return (y ?? Base(x)).add(LowRank.OnActivations(layer, x, Shaped(Down()), null, Up(), inner => inner), factor).MoveToOuterDisposeScope();
    }

    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        var ranks = down0 is null ? 1 : 2;
        yield return new("alpha", tensor((float)(ranks * Numbers.Alpha)));
        yield return new(LierLa.DownName, Shaped(Down()));
        yield return new(LierLa.UpName, Site.Layer.Shape.Kind == LayerKind.Linear ? Up() : Up().unsqueeze(-1).unsqueeze(-1));
    }

    internal override int FileRanks => up0 is null ? 1 : 2;

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (left, right) = Halves(parts, Site);
        up.Value.copy_(left.narrow(1, 0, Numbers.Rank));
        down.Value.copy_(right.narrow(0, 0, Numbers.Rank));
        up0?.Value.copy_(left.narrow(1, Numbers.Rank, Numbers.Rank).neg());
        down0?.Value.copy_(right.narrow(0, Numbers.Rank, Numbers.Rank));
    }

    /// <summary>A file's halves as matrices, up [Out, R] and down [R, In·k²], fp32; the caller's scope owns them.</summary>
    internal static (Tensor Up, Tensor Down) Halves(AdapterParts parts, AdapterSite site)
    {
        var shape = site.Layer.Shape;
        return (parts.Load(LierLa.UpName).to_type(ScalarType.Float32).reshape(shape.Out, -1), parts.Load(LierLa.DownName).to_type(ScalarType.Float32).reshape(-1, shape.In * shape.Kernel.H * shape.Kernel.W));
    }

    /// <summary>An adapter of a file that holds a plain LoRA; null where it does not, or of a rank that cannot be shared evenly.</summary>
    /// <param name="ranks">How many times the adapter's rank the file has.</param>
    internal static Adapter? Read(AdapterSite site, AdapterParts parts, int ranks, Func<AdapterSite, AdapterNumbers, Adapter> create)
    {
        if (LierLa.Read(site, parts) is not { Numbers: var all } || all.Rank % ranks != 0) return null;
        return create(site, all with { Rank = all.Rank / ranks, Alpha = all.Alpha / ranks });
    }

    /// <summary>A rank beyond a layer's smaller side has no singular vectors.</summary>
    internal static Problem? CheckRank(AdapterSite site, AdapterNumbers numbers)
    {
        var shape = site.Layer.Shape;
        var most = Math.Min(shape.Out, shape.In * shape.Kernel.H * shape.Kernel.W);
        return numbers.Rank <= most ? null : new("rank", $"is {numbers.Rank}, more than the {most} of {site.Layer.Key}'s smaller side.", "Use a smaller rank.");
    }

    private Tensor Up() => up0 is null ? up.Value : cat([up.Value, up0.Value.neg()], 1);

    private Tensor Down() => down0 is null ? down.Value : cat([down.Value, down0.Value], 0);

    private Tensor Shaped(Tensor matrix)
    {
        var shape = Site.Layer.Shape;
        return shape.Kind == LayerKind.Linear ? matrix : matrix.view(-1, shape.In, shape.Kernel.H, shape.Kernel.W);
    }
}
