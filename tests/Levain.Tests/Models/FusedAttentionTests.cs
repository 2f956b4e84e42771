using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>Our own attention has the numbers and gradients that libtorch finds in fp64, whatever the sizes and however the heads lie in memory.</summary>
public sealed class FusedAttentionTests
{
    private const double Tolerance = 3e-6;      // relative: fp32 sums of up to 300 terms, and an exponential

    public static TheoryData<int, int, int, int, int> Sizes => new()
    {
        { 1, 2, 256, 256, 40 },         // whole blocks and tiles
        { 2, 3, 100, 77, 12 },          // none of them whole
        { 1, 1, 300, 300, 48 },         // one head: its keys are dealt out to several threads
        { 1, 8, 16, 1, 8 },
        { 3, 1, 1, 5, 7 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void It_has_the_numbers_and_gradients_of_libtorchs_in_fp64(int batch, int heads, int queries, int keys, int width)
    {
        if (!Engine.OwnKernels) return;     // libtorch's then computes everywhere
        using var scope = NewDisposeScope();
        var (q, k, v) = (Heads(queries, 0.7f), Heads(keys, 1.1f, 3), Heads(keys, 0.3f));
        var gradient = Heads(queries, 0.9f).detach();
        var expected = nn.functional.scaled_dot_product_attention(q.@double(), k.@double(), v.@double());
        var found = FusedAttention.Run(q, k, v);
        Same(expected, found, Tolerance);
        var slopes = autograd.grad([expected], [q, k, v], [gradient.@double()]).Zip(autograd.grad([found], [q, k, v], [gradient]));
        foreach (var (one, other) in slopes) Same(one, other, 1e-5);      // differences of nearly equal weights
        using var frozen = no_grad();
        Same(expected, FusedAttention.Run(q, k, v), Tolerance);

        // As a linear layer gives them: tokens first, heads beside each other.
        Tensor Heads(int tokens, float step, float size = 1) => Wave(step, batch, tokens, heads, width).mul(size).transpose(1, 2).detach().requires_grad_(true);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Only_what_wants_a_gradient_gets_one(int wanted)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        Tensor[] inputs = [Wave(0.7f, 1, 2, 40, 16), Wave(1.1f, 1, 2, 24, 16), Wave(0.3f, 1, 2, 24, 16)];
        inputs[wanted].requires_grad_(true);
        var expected = autograd.grad([nn.functional.scaled_dot_product_attention(inputs[0], inputs[1], inputs[2]).square().sum()], [inputs[wanted]])[0];
        FusedAttention.Run(inputs[0], inputs[1], inputs[2]).square().sum().backward();
        Same(expected, inputs[wanted].grad!, 1e-5);
        Assert.All(inputs.Where((_, i) => i != wanted), other => Assert.Null(other.grad));
    }

    [Theory]
    [InlineData(1, 3, 96, 80, 24)]
    [InlineData(2, 8, 256, 256, 40)]
    [InlineData(1, 2, 77, 77, 64)]
    [InlineData(1, 1, 300, 301, 16)]        // one head dealt out, an odd number of keys
    [InlineData(1, 2, 40, 1, 6)]
    [InlineData(1, 2, 20, 33, 7)]           // rows of an odd length
    public void In_bf16_it_is_as_near_to_fp32_as_libtorchs(int batch, int heads, int queries, int keys, int width)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        var (q, k, v) = (Half(0.7f, queries), Half(1.1f, keys), Half(0.3f, keys));
        Tensor[] wide = [.. new[] { q, k, v }.Select(half => half.detach().@float().requires_grad_(true))];
        var gradient = Half(0.9f, queries).detach();
        var expected = nn.functional.scaled_dot_product_attention(wide[0], wide[1], wide[2]);
        var found = FusedAttention.Run(q, k, v);
        Assert.Equal(ScalarType.BFloat16, found.dtype);
        Tensor[] other = [.. new[] { q, k, v }.Select(half => half.detach().requires_grad_(true))];
        var libtorchs = nn.functional.scaled_dot_product_attention(other[0], other[1], other[2]);
        NoFarther(expected, libtorchs, found);
        var slopes = autograd.grad([expected], wide, [gradient.@float()]);
        var libtorchsSlopes = autograd.grad([libtorchs], other, [gradient]);
        var foundSlopes = autograd.grad([found], [q, k, v], [gradient]);
        for (var i = 0; i < slopes.Count; i++) NoFarther(slopes[i], libtorchsSlopes[i], foundSlopes[i]);

        Tensor Half(float step, int tokens) => Wave(step, batch, tokens, heads, width).transpose(1, 2).bfloat16().detach().requires_grad_(true);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void What_is_not_a_number_stays_visible(ScalarType type)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        var (q, k, v) = (Wave(0.7f, 1, 1, 32, 16).to_type(type), Wave(1.1f, 1, 1, 32, 16).to_type(type), Wave(0.3f, 1, 1, 32, 16).to_type(type));
        q[0, 0, 5, 3] = float.NaN;
        var rows = FusedAttention.Run(q, k, v).isnan().any(-1);
        Assert.True(rows[0, 0, 5].item<bool>());
        Assert.Equal(1, rows.sum().item<long>());
    }

    [Fact]
    public void A_failing_piece_of_work_is_reported_where_the_work_was_given_out()
    {
        var failure = Assert.Throws<InvalidOperationException>(() => Team.Run(2, 64, piece => { if (piece == 40) throw new InvalidOperationException("piece 40"); }));
        Assert.Equal("piece 40", failure.Message);
    }

    // Rounding falls differently, but not more often.
    private static void NoFarther(Tensor exact, Tensor libtorchs, Tensor found)
    {
        var (theirs, ours) = (Off(exact, libtorchs), Off(exact, found));
        Assert.True(ours <= 1.2 * theirs + 1e-3, $"off by {ours}, libtorch's by {theirs}.");
    }

    private static float Off(Tensor expected, Tensor found) => ((found - expected).norm() / (expected.norm() + 1)).@float().item<float>();

    private static void Same(Tensor expected, Tensor found, double tolerance)
    {
        Assert.Equal(expected.shape, found.shape);
        var off = Off(expected, found);
        Assert.True(off <= tolerance, $"off by {off}.");
    }

    private static Tensor Wave(float step, params long[] shape) => sin(arange(shape.Aggregate(1L, (product, side) => product * side), dtype: ScalarType.Float32).mul_(step)).view(shape);
}
