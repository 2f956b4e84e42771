using System.Text.RegularExpressions;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>What a network at a strength did over a set of prompts.</summary>
/// <param name="Network">Its file name.</param>
/// <param name="Strength">Its strength.</param>
/// <param name="Change">How far pictures with the trigger word moved from the base's: mean difference of channel values, 0..1.</param>
/// <param name="Leak">The same for pictures without the word: 0 is no leak.</param>
/// <param name="Likeness">How much of what the training pictures have and the base's lack is found in those with the word: 0 as in the base's, 1 as in other training pictures; null without them. See <c>Likeness</c>.</param>
/// <param name="LeakLikeness">The same for pictures without the word: what of the subject shows unasked.</param>
public sealed record TasteFigure(string Network, double Strength, double Change, double Leak, double? Likeness, double? LeakLikeness);

/// <summary>A finished tasting.</summary>
/// <param name="Figures">A line for every network and strength.</param>
/// <param name="Best">Place of the suggestion in <paramref name="Figures"/>; −1 where no network does anything.</param>
/// <param name="Reason">Why.</param>
/// <param name="Grid">All pictures.</param>
public sealed record TasteResult(IReadOnlyList<TasteFigure> Figures, int Best, string Reason, XyzGrid.Result Grid);

/// <summary>
/// The standard test of a training's networks: all epochs × strengths over a set of prompts and seeds, each prompt with the trigger word and, as a leak test, without it.
/// </summary>
/// <param name="Request">What all pictures share.</param>
/// <param name="Networks">Files, usually the epochs of one training.</param>
/// <param name="Trigger">The word that calls up what was trained.</param>
public sealed partial record Tasting(GenerationRequest Request, IReadOnlyList<string> Networks, string Trigger)
{
    /// <summary>Stands for the trigger word in prompts.</summary>
    public const string Place = "{trigger}";

    private const string Without = "without", Alone = "no word";
    private const int MostTraining = 48;
    private const double AboutAsGood = 0.05;

    /// <summary>Strengths; default 0.6, 0.8, 1, 1.2.</summary>
    public IReadOnlyList<double> Strengths { get; init; } = [0.6, 0.8, 1, 1.2];

    /// <summary>Prompts with <see cref="Place"/> in them; one without it gets it in front.</summary>
    public IReadOnlyList<string> Prompts { get; init; } = StandardPrompts("1girl");

    /// <summary>Seeds; default 1 and 2.</summary>
    public IReadOnlyList<long> Seeds { get; init; } = [1, 2];

    /// <summary>Pictures that the networks were trained on; may be empty.</summary>
    public IReadOnlyCollection<Picture> Training { get; init; } = [];

    /// <summary>The guide's standard set: portrait, full body, other clothes, another place, an emotion, from behind, among others.</summary>
    /// <param name="kind">What the subject is to the base: <c>1girl</c>, <c>1boy</c>, <c>a dog</c>.</param>
    public static IReadOnlyList<string> StandardPrompts(string kind) =>
    [
        $"{Place}, {kind}, solo, portrait", $"{Place}, {kind}, solo, full body, standing", $"{Place}, {kind}, solo, black suit, upper body",
        $"{Place}, {kind}, solo, outdoors, forest", $"{Place}, {kind}, solo, crying", $"{Place}, {kind}, solo, from behind", $"{Place}, {kind}, crowd",
    ];

    /// <summary>A prompt with the trigger word, or without it and the comma behind.</summary>
    public string PromptOf(string prompt, bool withTrigger)
    {
        if (!prompt.Contains(Place, StringComparison.Ordinal)) prompt = $"{Place}, {prompt}";
        return withTrigger ? prompt.Replace(Place, Trigger) : PlaceAndComma().Replace(prompt, "").Trim();
    }

    /// <summary>The pictures as a grid: columns are the base alone, then networks × strengths; rows prompts × seeds; with the word, then without.</summary>
    public XyzGrid Grid()
    {
        var columns = new List<object> { Without };
        var uses = new Dictionary<string, NetworkUse>();
        foreach (var (file, strength) in Networks.SelectMany(_ => Strengths, (file, strength) => (file, strength)))
        {
            var name = FormattableString.Invariant($"{Path.GetFileNameWithoutExtension(file)}\n{strength}");
            if (uses.TryAdd(name, new(file, strength))) columns.Add(name);
        }
        var rows = Prompts.SelectMany(_ => Seeds, (prompt, seed) => (Text: $"{prompt}\nseed {seed}", prompt, seed)).DistinctBy(row => row.Text).ToDictionary(row => (object)row.Text);
        var network = new GridAxis("Network", AxisKind.Text, "", (cell, value, _) => value is Without ? cell : cell with { Request = cell.Request with { Networks = [.. cell.Request.Networks, uses[(string)value]] } }) { Legend = value => (string)value };
        var prompt = new GridAxis("Prompt", AxisKind.Text, "", (cell, value, _) => cell with { Request = cell.Request with { Prompt = rows[value].prompt, Seed = rows[value].seed } }) { Legend = value => (string)value };
        var word = new GridAxis("Word", AxisKind.Text, "", (cell, value, _) => cell with { Request = cell.Request with { Prompt = PromptOf(cell.Request.Prompt, value is not Alone) } }) { Legend = value => (string)value };
        return new(Request, new(network, columns), new(prompt, [.. rows.Keys]), new(word, [Trigger, Alone]));
    }

    /// <summary>Draws what is not there yet, and measures.</summary>
    /// <inheritdoc cref="XyzGrid.Draw"/>
    /// <param name="compared">Told after each picture that was looked at for its likeness: how many were, and how many there are.</param>
    public TasteResult Draw(BaseShelf bases, GridFolder? folder = null, Action<int, int, GridEntry>? done = null, Action<int, int>? compared = null, CancellationToken cancel = default)
    {
        var grid = Grid();
        var result = grid.Draw(bases, folder, done, cancel);
        var (like, likeAlone) = Training.Count == 0 ? (null, null) : Likenesses(bases, result.Pictures, compared, cancel);
        var figures = new List<TasteFigure>();
        for (var x = 1; x < grid.X.Values.Count; x++)
        {
            var (name, strength) = ((string)grid.X.Values[x]).Split('\n') is [var file, var number] ? (file, PythonNumber.Float(number)!.Value) : throw new InvalidOperationException("A column has no strength.");
            figures.Add(new(name, strength, Moved(x, 0), Moved(x, 1), like?[x - 1], likeAlone?[x - 1]));
        }
        var (best, reason) = Suggest(figures);
        return new(figures, best, reason, result);

        double Moved(int x, int z) => Column(result.Pictures, x, z).Zip(Column(result.Pictures, 0, z), PictureDifference.Mean).Average();
    }

    /// <summary>The likeness of every column but the base's, with the word and without.</summary>
    private (IReadOnlyList<double> With, IReadOnlyList<double> Alone) Likenesses(BaseShelf bases, Picture[,,] pictures, Action<int, int>? compared, CancellationToken cancel)
    {
        using var scope = NewDisposeScope();
        using var features = bases.For(new(Request)).OnBase(model => new PictureFeatures(model, Request.Size));
        // Spread over the set: more pictures than these change little and cost a pass of the U-Net each.
        var step = Math.Max(1, (Training.Count + MostTraining - 1) / MostTraining);
        var chosen = Training.Where((_, i) => i % step == 0).ToList();
        var (done, all) = (0, chosen.Count + pictures.Length);
        using var training = new Likeness([.. chosen.Select(Look)]);
        return (Of(0), Of(1));

        IReadOnlyList<double> Of(int z) => training.Of(Seen(0, z), Enumerable.Range(1, pictures.GetLength(0) - 1).Select(x => Seen(x, z)));

        List<Tensor> Seen(int x, int z) => [.. Column(pictures, x, z).Select(Look)];

        Tensor Look(Picture picture)
        {
            cancel.ThrowIfCancellationRequested();
            var seen = features.Of(picture);
            compared?.Invoke(++done, all);
            return seen;
        }
    }

    private static List<Picture> Column(Picture[,,] pictures, int x, int z) => [.. Enumerable.Range(0, pictures.GetLength(1)).Select(y => pictures[x, y, z])];

    /// <summary>
    /// Chooses a network and strength: the one that brings most of the training pictures with its word, less half of what it brings without; where there are no training
    /// pictures, the one whose word moves pictures furthest, less half of how far they move without. Of those about as good the one nearest to strength 1 is taken.
    /// </summary>
    /// <param name="figures">What was measured.</param>
    public static (int Best, string Reason) Suggest(IReadOnlyList<TasteFigure> figures)
    {
        var acting = figures.Index().Where(one => one.Item.Change > 0).ToList();
        if (acting.Count == 0) return (-1, "No network changes a picture with the trigger word: look at the word, and whether the networks fit this base.");
        var most = acting.Max(one => Score(one.Item));
        var (best, figure) = acting.Where(one => Score(one.Item) >= most - AboutAsGood * Math.Abs(most)).MinBy(one => Math.Abs(one.Item.Strength - 1));
        var like = figure is { Likeness: { } with, LeakLikeness: { } alone }
            ? FormattableString.Invariant($"With its word {with:P0} of what the training pictures have beyond the base's is found, without it {alone:P0}. ") : "";
        return (best, FormattableString.Invariant($"{figure.Network} at {figure.Strength}: {like}With the word pictures move by {figure.Change:P1} of the range, without it by {figure.Leak:P1}."));

        static double Score(TasteFigure figure) => figure is { Likeness: { } with, LeakLikeness: { } alone } ? with - Math.Max(alone, 0) / 2 : figure.Change - figure.Leak / 2;
    }

    [GeneratedRegex(@"\{trigger\}\s*,?\s*|,\s*\{trigger\}\s*$")]
    private static partial Regex PlaceAndComma();
}
