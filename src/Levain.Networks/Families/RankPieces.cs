using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What both kinds of DyLoRA have in common: ranks in pieces, of which each pass draws one to train.</summary>
/// <remarks>
/// Valipour et al. 2022, https://arxiv.org/abs/2210.07558. A piece is drawn from Python's generator for each pass, as both references do; where a
/// block of the model is computed twice to save memory, the second pass takes the first one's piece.
/// </remarks>
public abstract class RankPieces : Adapter
{
    private const int MostRanks = 16384;

    private readonly AdapterParameter[] downs, ups;
    private (int Piece, Core.PythonRandom Source)? drawn;         // by a pass that was not recorded, for the recorded one that follows

    /// <summary>Pieces of <see cref="AdapterForm.Block"/> ranks each.</summary>
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and form; the block divides the rank.</param>
    /// <param name="downName">What its module calls the down halves: <c>down_list</c>.</param>
    /// <param name="upName">And the up halves.</param>
    private protected RankPieces(AdapterSite site, AdapterNumbers numbers, string downName, string upName, bool plus) : base(site, numbers)
    {
        var shape = site.Layer.Shape;
        var width = shape.In * shape.Kernel.H * shape.Kernel.W;
        var count = (int)(numbers.Rank / Piece);
        downs = [.. Enumerable.Range(0, count).Select(i => Declare($"{downName}.{i}", [Piece, width]))];
        ups = [.. Enumerable.Range(0, count).Select(i => Declare($"{upName}.{i}", [shape.Out, Piece], plus))];
    }

    /// <summary>Ranks of a piece.</summary>
    protected int Piece => Form.Block;

    /// <summary>Pieces in all.</summary>
    protected int Count => downs.Length;

    /// <inheritdoc/>
    public override bool PrefersWeight => RankSource is null && LierLa.IsLarge(Site.Layer, downs.Length * (downs[0].Length + ups[0].Length));

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        foreach (var down in downs) Initial.KaimingUniform(down.Value, generator);
        foreach (var up in ups) up.Value.zero_();
    }

    /// <summary>The whole file's meaning: alpha ÷ rank · up·down.</summary>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return Joined(ups, 1).mm(Joined(downs, 0)).mul(Scale).view(Site.Layer.Weight.shape).MoveToOuterDisposeScope();
    }

    /// <summary>The piece that is trained in this pass.</summary>
    /// <param name="random">Python's generator.</param>
    private protected abstract int Draw(Core.PythonRandom random);

    /// <summary>How many pieces take part while one is trained, and the factor on up·down.</summary>
    /// <param name="piece">The piece that is trained.</param>
    private protected abstract (int Taking, double Factor) Part(int piece);

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        trained = PieceOfThisPass();
        var (taking, scale) = trained is { } piece ? Part(piece) : (Count, Scale);
        var factor = (float)(strength * scale);
        Tensor part(AdapterParameter[] all, long dimension) => cat([.. all.Take(taking).Select((one, i) => trained is null || i == trained ? one.Value : one.Value.detach())], dimension);
        var (a, b) = (part(downs, 0), part(ups, 1));
        if (y is null && Pass.Suits(Site.Layer))
            return LowRankPass.Run(Site.Layer, x, a, b, factor, null, trained: trained is { } one ? (one * Piece, Piece) : null).MoveToOuterDisposeScope();
        var kernel = Site.Layer.Shape.Kernel;
        if (Site.Layer.Shape.Kind == LayerKind.Conv2d) a = a.view(-1, Site.Layer.Shape.In, kernel.H, kernel.W);
        return (y ?? Base(x)).add(LowRank.OnActivations(Site.Layer, x, a, null, b, inner => inner), factor).MoveToOuterDisposeScope();
    }

    private int? trained;

    internal override RankDrops RankDrops => RankDrops.Own;

    private protected override void Reach()
    {
        foreach (var (all, i) in new[] { downs, ups }.SelectMany(all => all.Select((_, i) => (all, i))))
            if (trained is null || i == trained) all[i].Reached = true;
    }

    /// <summary>All down halves, [r, In·k²]. The caller's scope owns it.</summary>
    private protected Tensor Down() => Joined(downs, 0);

    /// <summary>All up halves, [Out, r]. The caller's scope owns it.</summary>
    private protected Tensor Up() => Joined(ups, 1);

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (down, up) = (parts.Load(LierLa.DownName).flatten(1), parts.Load(LierLa.UpName).flatten(1));
        for (var i = 0; i < Count; i++)
        {
            downs[i].Value.copy_(down.narrow(0, i * Piece, Piece));
            ups[i].Value.copy_(up.narrow(1, i * Piece, Piece));
        }
    }

    internal static Core.Problem? CheckPieces(AdapterSite site, AdapterNumbers numbers) => numbers.Rank > MostRanks
        ? new("rank", $"is {numbers.Rank}.", $"Use up to {MostRanks}: every piece of ranks is a tensor of its own.")
        : numbers.Form.Block >= 1 && numbers.Rank % numbers.Form.Block == 0 ? null : new("dylora.block", $"is {numbers.Form.Block}, which does not divide the rank {numbers.Rank} of {site.Layer.Key}.", "Use a divisor of the rank; 1 and 4 are usual.");

    /// <summary>An adapter over a file's ranks, each a piece of its own; null where the file holds no plain low-rank product.</summary>
    private protected static AdapterNumbers? NumbersOf(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(LierLa.DownName, LierLa.UpName) || parts.Has(LoCon.MidName) || parts.Has(Networks.Dora.ScaleName) || site.Layer.Shape.IsNorm) return null;
        var (shape, rank) = (site.Layer.Shape, parts.ShapeOf(LierLa.DownName)[0]);
        parts.Expect(site, LierLa.DownName, [rank, shape.In, shape.Kernel.H, shape.Kernel.W]);
        parts.Expect(site, LierLa.UpName, [shape.Out, rank]);
        return parts.Numbers((int)rank);
    }

    private int? PieceOfThisPass()
    {
        if (RankSource is not { } random) return null;
        var recorded = is_grad_enabled();
        var piece = recorded && drawn is { } kept && kept.Source == random ? kept.Piece : Draw(random);
        drawn = recorded ? null : (piece, random);
        return piece;
    }

    private static Tensor Joined(AdapterParameter[] pieces, long dimension) => cat([.. pieces.Select(piece => piece.Value)], dimension);
}
