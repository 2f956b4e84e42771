namespace Levain.Training.Elements;

/// <summary>A rule that treats every element alike. A struct that holds the step's numbers; what it asks of memory is known when it is compiled.</summary>
internal interface IElementRule
{
    /// <summary>What it looks at.</summary>
    static abstract Streams Reads { get; }

    /// <summary>What it writes.</summary>
    static abstract Streams Writes { get; }

    /// <summary>The rule for elements side by side. Marked to be inlined, as all it calls: else every element goes through memory once more.</summary>
    void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>;
}

/// <summary>Arrays that a rule goes through in step.</summary>
[Flags]
internal enum Streams
{
    /// <summary>Parameters.</summary>
    Parameter = 1,

    /// <summary>Gradients.</summary>
    Gradient = 2,

    /// <summary>The first slot.</summary>
    A = 4,

    /// <summary>The second slot.</summary>
    B = 8,

    /// <summary>The third slot.</summary>
    C = 16,

    /// <summary>The fourth slot.</summary>
    D = 32,

    /// <summary>The fifth slot.</summary>
    E = 64,

    /// <summary>Sums over all elements.</summary>
    Sums = 128,
}

/// <summary>What belongs to one element: its parameter p, gradient g, slots, and what it adds to the sums.</summary>
internal struct Element<L>
{
    public L P, G, A, B, C, D, E;

    /// <summary>What this element adds to each sum.</summary>
    public L Sum1, Sum2, Sum3;
}

/// <summary>Sums over elements, in double.</summary>
internal readonly record struct Sums(double First, double Second, double Third)
{
    public static Sums operator +(Sums left, Sums right) => new(left.First + right.First, left.Second + right.Second, left.Third + right.Third);
}
