using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Models.Clip;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>A word: vectors behind the text encoder's table of tokens.</summary>
/// <remarks>
/// Gal et al. 2022, https://arxiv.org/abs/2208.01618. With K-31 the whole table is trained and all but the word's rows are put back after each update, so that
/// clipping, and optimizers that look at all of a tensor, see what kohya's see.
/// </remarks>
internal sealed class TrainedEmbedding : Trained
{
    private const double Spread = 1e-9;          // transformers draws new rows this close to the mean

    private readonly RunSettings settings;
    private readonly EmbeddingLayer table;
    private readonly Tensor? before;
    private readonly long width;

    /// <param name="random">Drawn from as transformers does when it enlarges a table.</param>
    public TrainedEmbedding(RunSettings settings, StableDiffusion model, RunRandom random)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        this.settings = settings;
        table = model.TextEncoder.Tokens;
        var (own, count) = (settings.Embedding, table.Table.shape[0]);
        width = table.Table.shape[1];
        Words = own.Names.Select((name, i) => (name, Id: (int)count + i)).ToDictionary(pair => pair.name, pair => pair.Id);
        random.Skip((count + own.Vectors) * width);
        var rows = First(random, count);

        var whole = settings.Compat.WholeTableTrained && table.Table.dtype == ScalarType.Float32;
        before = whole ? table.Table.detach().clone().DetachFromDisposeScope() : null;
        Values = (whole ? cat([table.Table, rows]) : rows).flatten().DetachFromDisposeScope();
        Gradients = zeros_like(Values).DetachFromDisposeScope();
        Vectors = Rows(Values).detach().DetachFromDisposeScope();
        if (whole)
        {
            table.Table.set_(Values.narrow(0, 0, count * width).view(count, width));
            table.Table.requires_grad_(true);
            table.Table.grad = Gradients.narrow(0, 0, count * width).view(count, width);
        }
        Vectors.requires_grad_(true);
        Vectors.grad = Rows(Gradients);
        table.Further = Vectors;
        Groups = [new("", settings.Optimizer.UnetRate, 0, TrainedLength, [new(0, [TrainedLength / width, width])])];
    }

    /// <summary>The word's vectors, [n, C]; a leaf of autograd within <see cref="Values"/>.</summary>
    public Tensor Vectors { get; }

    public override Tensor Values { get; }

    public override Tensor Gradients { get; }

    public override long TrainedLength => Values.numel();

    public override IReadOnlyList<RateGroup> Groups { get; }

    public override IReadOnlyDictionary<string, int> Words { get; }

    public override TextualInversion Word
    {
        get
        {
            using var frozen = no_grad();
            return TextualInversion.Of(settings.Embedding.Token!, Vectors.detach());
        }
    }

    public override bool Training
    {
        set
        {
            Vectors.requires_grad_(value);
            if (before is not null) table.Table.requires_grad_(value);
        }
    }

    public override bool StatesChange => true;

    public override void Forget()
    {
        if (before is null) return;
        using var frozen = no_grad();
        table.Table.copy_(before);
    }

    public override IReadOnlyList<KeyValuePair<string, double>> StepScalars(double loss, double average, (int Scaled, double Mean, double Max)? norms, IReadOnlyList<GroupRate> rates) =>
        [new("loss", loss), new("lr", rates[0].Rate), .. rates[0].Distance is { } distance ? [new KeyValuePair<string, double>("lr/d*lr", distance * rates[0].Rate)] : Array.Empty<KeyValuePair<string, double>>()];

    public override IReadOnlyList<KeyValuePair<string, double>> EpochScalars(double average, double epochSum, int batches) => [new("loss/epoch", epochSum / batches)];

    public override IResultWriter Writer(RunPlan plan, Func<RunIdentity> identity, RunOptions options) => new EmbeddingWriter(plan, this, options.Clock);

    public override void Dispose()
    {
        table.Further = null;
        Training = false;
        if (before is not null) table.Table.grad = null;
        Vectors.grad = null;
        Vectors.Dispose();
        before?.Dispose();
        Gradients.Dispose();
        Values.Dispose();
    }

    // Near the mean of the table, then the initial words', then a file's.
    private Tensor First(RunRandom random, long count)
    {
        var own = settings.Embedding;
        var full = table.Table.to_type(ScalarType.Float32).cpu();
        var mean = full.mean([0L]);
        var centered = full - mean;
        var (factor, failed) = linalg.cholesky_ex(centered.t().matmul(centered) / count * Spread);
        var rows = mean.unsqueeze(0).repeat(own.Vectors, 1);
        if (failed.item<int>() == 0) rows = rows + randn(own.Vectors, width, generator: random.Torch).matmul(factor.t());
        if (own.InitWords is { } words)
        {
            var ids = ClipTokenizer.Instance.Encode(words);
            rows = full.index_select(0, tensor(Enumerable.Range(0, own.Vectors).Select(i => (long)ids[i % ids.Length]).ToArray()));
        }
        if (own.Weights is { } file)
        {
            using var word = TextualInversion.Read(file);
            if (word.Count != own.Vectors || word.Width != width) throw new RunException($"{file} holds {Counted.Of(word.Count, "vector")} of width {word.Width}, and {own.Vectors} of width {width} are trained. Set embedding.vectors = {word.Count}, or begin with another word.");
            rows = word.Vectors.clone();
        }
        return rows.to(table.Table.device);
    }

    private Tensor Rows(Tensor flat)
    {
        var length = settings.Embedding.Vectors * width;
        return flat.narrow(0, flat.numel() - length, length).view(-1, width);
    }
}
