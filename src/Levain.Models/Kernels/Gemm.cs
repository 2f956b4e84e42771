using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A matrix in memory.</summary>
/// <param name="Memory">First element.</param>
/// <param name="Row">From one row to the next.</param>
/// <param name="Column">From one column to the next.</param>
internal readonly unsafe record struct Matrix(nint Memory, int Rows, int Columns, nint Row, nint Column)
{
    /// <summary>Of two dimensions, fp32, on the processor; has to be kept alive beside this.</summary>
    public Matrix(Tensor tensor) : this(TensorMemory.Address(tensor), (int)tensor.size(0), (int)tensor.size(1), (nint)tensor.stride(0), (nint)tensor.stride(1)) { }

    public Matrix Turned => new(Memory, Columns, Rows, Column, Row);

    /// <summary>Some of its columns.</summary>
    public Matrix Part(int from, int to) => this with { Memory = (nint)At(0, from), Columns = to - from };

    public float* At(int row, int column) => (float*)Memory + row * Row + column * Column;
}

/// <summary>
/// Products of matrices of any size and order from the tiles of <see cref="Tiles"/>. The large operand is read where it lies, whichever way a
/// product runs through it: a frozen weight needs no other arrangement, forwards or backwards.
/// </summary>
/// <remarks>Blocking after Goto and van de Geijn 2008, https://doi.org/10.1145/1356052.1356053: a block of b stays in the second cache, rows of a in the first.</remarks>
internal static unsafe class Gemm
{
    private const int Depth = 512, Panels = 4;

    /// <summary>Columns of a result that are formed together.</summary>
    public const int Group = Panels * Tiles.Columns;

    /// <summary>c = a·b, or c += a·b, on all threads where it is large.</summary>
    /// <exception cref="ArgumentException">Sizes do not fit.</exception>
    public static void Run(Matrix a, Matrix b, Matrix c, bool add) => Run(a, b, c, add, Team.For((long)c.Rows * c.Columns * a.Columns));

    /// <summary>As <see cref="Run(Matrix, Matrix, Matrix, bool)"/>, on this thread alone.</summary>
    public static void RunHere(Matrix a, Matrix b, Matrix c, bool add) => Run(a, b, c, add, threads: 1);

    private static void Run(Matrix a, Matrix b, Matrix c, bool add, int threads)
    {
        if (a.Columns != b.Rows || a.Rows != c.Rows || b.Columns != c.Columns)
            throw new ArgumentException($"[{a.Rows}, {a.Columns}]·[{b.Rows}, {b.Columns}] cannot be put into [{c.Rows}, {c.Columns}].");
        // Columns of the result lie in the lanes. What does not lie so has to be turned: the smaller one is.
        long turnB = b.Column == 1 ? 0 : (long)b.Rows * b.Columns, turnC = c.Column == 1 ? 0 : (long)c.Rows * c.Columns;
        long turnA = a.Row == 1 ? 0 : (long)a.Rows * a.Columns, turnedC = c.Row == 1 ? 0 : (long)c.Rows * c.Columns;
        if (turnA + turnedC < turnB + turnC) (a, b, c) = (b.Turned, a.Turned, c.Turned);
        var groups = (c.Columns + Group - 1) / Group;
        var parts = Team.Pieces(threads, groups, c.Rows, Tiles.Rows);
        Team.Run(threads, groups * parts, piece =>
        {
            var (group, part) = (piece / parts, piece % parts);
            Piece(new(b, null), group * Group, Math.Min(Group, c.Columns - group * Group), [Share.Of(a, c, part, parts, add)]);
        });
    }

    /// <summary>Makes a block of a matrix: [depth, 32] with rows from k on of so many columns; columns that are missing become zero, up to the next sixteen.</summary>
    public delegate void Maker(int k, int depth, int column, int count, float* to);

    /// <summary>Products, c = a·b or c += a·b, with columns of one b that are made when they are needed, on this thread alone.</summary>
    /// <param name="firstColumn">Of b and every c.</param>
    /// <param name="columns">At most <see cref="Group"/>.</param>
    public static void RunMade(Maker make, int firstColumn, int columns, params ReadOnlySpan<Share> shares) => Piece(new(default, make), firstColumn, columns, shares);

    /// <summary>Rows of a product.</summary>
    public readonly record struct Share(Matrix A, Matrix C, int FirstRow, int EndRow, bool Add)
    {
        /// <summary>Part number <paramref name="part"/> of so many.</summary>
        public static Share Of(Matrix a, Matrix c, int part, int parts, bool add)
        {
            var (from, to) = Team.Piece(part, parts, c.Rows, Tiles.Rows);
            return new(a, c, from, to, add);
        }
    }

    // Up to 128 columns of results, some of their rows.
    private static void Piece(Source source, int firstColumn, int columns, params ReadOnlySpan<Share> shares)
    {
        var scratch = Scratch.Of(Group * Depth + Tiles.Rows * Depth + Tiles.Rows * Tiles.Columns);
        float* packed = scratch.Cut(Group * Depth), rows = scratch.Cut(Tiles.Rows * Depth), tile = scratch.Cut(Tiles.Rows * Tiles.Columns);
        var panels = stackalloc float*[Panels];
        var all = shares[0].A.Columns;
        for (var k = 0; k < all; k += Depth)
        {
            var depth = Math.Min(Depth, all - k);
            var (b, isPacked) = (source.Matrix, source.Make is not null || source.Matrix.Column != 1);
            for (var column = 0; column < columns; column += Tiles.Columns)
            {
                var some = Math.Min(Tiles.Columns, columns - column);
                var whole = !isPacked && some % Tiles.Lanes == 0;
                panels[column / Tiles.Columns] = whole ? b.At(k, firstColumn + column) : packed + column * depth;
                if (source.Make is { } make) make(k, depth, firstColumn + column, some, packed + column * depth);
                else if (!whole) Pack(b, k, depth, firstColumn + column, some, packed + column * depth);
            }
            var block = new Block(k, depth, panels, isPacked ? Tiles.Columns : b.Row, firstColumn, columns, rows, tile);
            foreach (var share in shares) Rows(block, share.A, share.C, share.FirstRow, share.EndRow, share.Add || k > 0);
        }
    }

    // Rows k … k + depth of b, 32 columns a panel, and memory to work in.
    private readonly struct Block(int k, int depth, float** panels, nint stride, int firstColumn, int columns, float* rows, float* tile)
    {
        public readonly int K = k, Depth = depth, FirstColumn = firstColumn, Columns = columns;
        public readonly nint Stride = stride;
        public readonly float* Rows = rows, Tile = tile;
        public readonly float** Panels = panels;
    }

    private static void Rows(in Block block, in Matrix a, in Matrix c, int firstRow, int endRow, bool add)
    {
        var (k, depth, firstColumn) = (block.K, block.Depth, block.FirstColumn);
        for (var row = firstRow; row < endRow; row += Tiles.Rows)
        {
            var height = Math.Min(Tiles.Rows, endRow - row);
            var from = a.At(row, k);
            var (down, along) = (a.Row, a.Column);
            if (height < Tiles.Rows)
            {
                Fill(a, row, height, k, depth, block.Rows);
                from = block.Rows;
                (down, along) = (1, Tiles.Rows);
            }
            for (var column = 0; column < block.Columns; column += Tiles.Columns)
            {
                var some = Math.Min(Tiles.Columns, block.Columns - column);
                var vectors = some > Tiles.Lanes ? 2 : 1;
                var panel = block.Panels[column / Tiles.Columns];
                var stride = some % Tiles.Lanes == 0 ? block.Stride : Tiles.Columns;
                if (height == Tiles.Rows && some == vectors * Tiles.Lanes && c.Column == 1)
                {
                    Tiles.Product(vectors, depth, from, down, along, panel, stride, c.At(row, firstColumn + column), c.Row, add);
                    continue;
                }
                Tiles.Product(vectors, depth, from, down, along, panel, stride, block.Tile, Tiles.Columns, add: false);
                Deliver(block.Tile, c, row, height, firstColumn + column, some, add);
            }
        }
    }

    // [depth, 32] of b, missing columns zero.
    private static void Pack(Matrix b, int k, int depth, int column, int count, float* to)
    {
        if (b.Row != 1 || count < Tiles.Columns) new Span<float>(to, depth * Tiles.Columns).Clear();
        var (turnedColumns, turnedDepth) = b.Row == 1 ? (count / Tiles.Lanes * Tiles.Lanes, depth / Tiles.Lanes * Tiles.Lanes) : (0, 0);
        for (var j = 0; j < turnedColumns; j += Tiles.Lanes)
            for (var i = 0; i < turnedDepth; i += Tiles.Lanes) Tiles.Turn(b.At(k + i, column + j), b.Column, to + i * Tiles.Columns + j, Tiles.Columns);
        for (var j = 0; j < count; j++)
            for (var i = j < turnedColumns ? turnedDepth : 0; i < depth; i++) to[i * Tiles.Columns + j] = *b.At(k + i, column + j);
    }

    // Fewer than eight rows of a, side by side for each column, missing ones zero.
    private static void Fill(Matrix a, int row, int count, int k, int depth, float* to)
    {
        new Span<float>(to, depth * Tiles.Rows).Clear();
        for (var i = 0; i < count; i++)
            for (var j = 0; j < depth; j++) to[j * Tiles.Rows + i] = *a.At(row + i, k + j);
    }

    private static void Deliver(float* tile, Matrix c, int row, int rows, int column, int columns, bool add)
    {
        for (var j = 0; j < columns; j++)
        {
            float* to = c.At(row, column + j), from = tile + j;
            for (var i = 0; i < rows; i++, to += c.Row, from += Tiles.Columns) *to = add ? *to + *from : *from;
        }
    }

    private readonly record struct Source(Matrix Matrix, Maker? Make);
}
