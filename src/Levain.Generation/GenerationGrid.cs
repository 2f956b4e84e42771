namespace Levain.Generation;

/// <summary>One column or row of a grid: what its legend says and what it changes about the request.</summary>
public sealed record GridLine(string Legend, Func<GenerationRequest, GenerationRequest> Change);

/// <summary>A grid of pictures, every combination of its columns and rows.</summary>
/// <param name="Request">What all pictures share.</param>
/// <param name="Columns">What changes from left to right.</param>
/// <param name="Rows">What changes from top to bottom.</param>
public sealed record GenerationGrid(GenerationRequest Request, IReadOnlyList<GridLine> Columns, IReadOnlyList<GridLine> Rows)
{
    /// <summary>Pictures in the grid.</summary>
    public int Count => Columns.Count * Rows.Count;

    /// <summary>One column without networks, then one a strength.</summary>
    /// <param name="networkPath">The network.</param>
    /// <param name="strengths">Strengths, in the text encoder and the U-Net alike.</param>
    public static IReadOnlyList<GridLine> Strengths(string networkPath, IEnumerable<double> strengths) =>
    [
        new("without", request => request),
        .. strengths.Select(strength => new GridLine(FormattableString.Invariant($"strength {strength:0.0##}"),
            request => request with { Networks = [.. request.Networks, new(networkPath, strength)] })),
    ];

    /// <summary>One row for each prompt and seed.</summary>
    public static IReadOnlyList<GridLine> PromptsAndSeeds(IReadOnlyList<string> prompts, IReadOnlyList<long> seeds) => PromptsAndSeeds([.. prompts.Select(PromptLine.Of)], seeds);

    /// <summary>One row for each prompt and seed; a line that asks for several pictures gets several rows, their seeds counting on.</summary>
    public static IReadOnlyList<GridLine> PromptsAndSeeds(IReadOnlyList<PromptLine> prompts, IReadOnlyList<long> seeds) =>
    [
        .. from line in prompts
           from seed in seeds
           from picture in Enumerable.Range(0, line.Count)
           let own = (line.Options.TryGetValue("seed", out var given) && given is >= 0L and long fixedSeed ? fixedSeed : seed) + picture
           select new GridLine($"{line.Options.GetValueOrDefault("prompt")}\nseed {own}", request => line.Apply(request).Request with { Seed = own }),
    ];

    /// <summary>The request of one picture.</summary>
    public GenerationRequest At(int column, int row) => Columns[column].Change(Rows[row].Change(Request));

    /// <summary>Draws everything. Columns are drawn one after another, so that networks are put on the base as seldom as possible.</summary>
    /// <param name="pipeline">Who draws.</param>
    /// <param name="drawn">Told about each picture as it is done: column, row, result.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <returns>The grid with its legends.</returns>
    public Picture Draw(GenerationPipeline pipeline, Action<int, int, GenerationResult>? drawn = null, CancellationToken cancel = default)
    {
        var pictures = Rows.Select(_ => new Picture[Columns.Count]).ToList();
        for (var column = 0; column < Columns.Count; column++)
        {
            for (var row = 0; row < Rows.Count; row++)
            {
                var result = pipeline.Draw(At(column, row), cancel: cancel);
                pictures[row][column] = result.Picture;
                drawn?.Invoke(column, row, result);
            }
        }
        return PictureGrid.Arrange(pictures, [.. Columns.Select(column => column.Legend)], [.. Rows.Select(row => row.Legend)]);
    }
}
