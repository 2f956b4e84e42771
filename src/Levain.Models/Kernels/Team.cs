using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Deals work out to the threads that libtorch itself computes with.</summary>
/// <remarks>
/// libtorch's threads wait for the next operation by spinning. Threads of another pool would have to compete with them for the same cores, so where
/// libtorch's OpenMP is GNU's, pieces run on its team by the entry point that compiled OpenMP programs call (libgomp's ABI, <c>GOMP_parallel</c>).
/// Elsewhere .NET's pool is used.
/// </remarks>
internal static unsafe class Team
{
    private static readonly delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void> parallel;
    private static readonly delegate* unmanaged<int> member;        // which of the team's threads this is

    static Team()
    {
        var folder = NativeLibraries.Folder;
        var library = OperatingSystem.IsLinux() && Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "libgomp*.so*").FirstOrDefault() : null;
        if (library is null || !NativeLibrary.TryLoad(library, out var gomp) || !NativeLibrary.TryGetExport(gomp, "GOMP_parallel", out var run) || !NativeLibrary.TryGetExport(gomp, "omp_get_thread_num", out var number)) return;
        parallel = (delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void>)run;
        member = (delegate* unmanaged<int>)number;
    }

    private const int PiecesPerThread = 2;

    // Multiplications below which waking the others costs more than they save.
    private const long Large = 1 << 20;

    /// <summary>Threads that share large work.</summary>
    public static int Size => get_num_threads();

    /// <summary>Threads that should share work of so many multiplications.</summary>
    public static int For(long multiplications) => multiplications < Large ? 1 : Size;

    /// <summary>Into how many pieces a row of things is cut, so that every thread gets two.</summary>
    /// <param name="rows">How many such rows are dealt out.</param>
    /// <param name="count">Things in a row.</param>
    /// <param name="tile">Things that stay together.</param>
    public static int Pieces(int threads, int rows, int count, int tile) => threads == 1 ? 1 : Math.Clamp((PiecesPerThread * threads + rows - 1) / rows, 1, (count + tile - 1) / tile);

    /// <summary>The first thing of piece number <paramref name="index"/> of so many, and the one after its last.</summary>
    public static (int From, int To) Piece(int index, int pieces, int count, int tile)
    {
        var tiles = (count + tile - 1) / tile;
        return (tiles * index / pieces * tile, Math.Min(count, tiles * (index + 1) / pieces * tile));
    }

    /// <summary>Runs <paramref name="piece"/> for 0 … <paramref name="count"/> − 1, in any order, and returns when all are done. A failure of one is thrown here.</summary>
    /// <param name="threads">Threads, this one included.</param>
    public static void Run(int threads, int count, Action<int> piece)
    {
        threads = Math.Min(count, threads);
        if (threads <= 1)
        {
            for (var i = 0; i < count; i++) piece(i);
            return;
        }
        if (parallel == null)
        {
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, piece);
            return;
        }
        var work = new Work(threads, count, piece);
        var handle = GCHandle.Alloc(work);
        try
        {
            parallel(&Enter, GCHandle.ToIntPtr(handle), (uint)threads, 0);
        }
        finally
        {
            handle.Free();
        }
        work.Failure?.Throw();
    }

    [UnmanagedCallersOnly]
    private static void Enter(nint handle) => ((Work)GCHandle.FromIntPtr(handle).Target!).Share(member());

    // Every thread has a stretch of pieces of its own, the same one operation after operation: what it wrote last it finds in its own cache. Who is done helps the others.
    private sealed class Work(int threads, int count, Action<int> piece)
    {
        private const int Apart = 16;       // integers of a line of the cache

        private readonly int[] taken = new int[threads * Apart];

        public ExceptionDispatchInfo? Failure { get; private set; }

        // No exception may pass through native frames.
        public void Share(int thread)
        {
            try
            {
                for (var other = 0; other < threads; other++) Take((thread + other) % threads);
            }
            catch (Exception failure)
            {
                Failure = ExceptionDispatchInfo.Capture(failure);
                for (var i = 0; i < threads; i++) Volatile.Write(ref taken[i * Apart], count);
            }
        }

        private void Take(int stretch)
        {
            var (first, end) = ((int)((long)count * stretch / threads), (int)((long)count * (stretch + 1) / threads));
            ref var next = ref taken[stretch * Apart];
            for (var i = first + Interlocked.Increment(ref next) - 1; i < end; i = first + Interlocked.Increment(ref next) - 1) piece(i);
        }
    }
}
