using System.Buffers.Binary;
using Levain.Core;
using Levain.Data;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>All of a run's chance: Python's generator and libtorch's, from one seed. Whoever draws is handed one of them; a snapshot holds both.</summary>
public sealed class RunRandom : IDisposable
{
    /// <summary>Starts both generators from a seed of 0 to 2³² − 1.</summary>
    public RunRandom(long seed) : this(seed, new(seed)) { }

    /// <summary>Starts libtorch's generator from a seed, beside one of Python's that was started from the same and may have been drawn from since.</summary>
    public RunRandom(long seed, PythonRandom python)
    {
        Seed = seed;
        Python = python;
        Torch = new Generator((ulong)seed, CPU);
        Torch.manual_seed(seed);
    }

    /// <summary>The seed of the run.</summary>
    public long Seed { get; }

    /// <summary>Python's <c>random</c>: order of pictures, captions, flips, crops, pyramid sizes.</summary>
    public PythonRandom Python { get; }

    /// <summary>libtorch's CPU generator: initial weights, noise, timesteps, dropouts.</summary>
    public Generator Torch { get; }

    /// <summary>Passes over outputs of <see cref="Torch"/> that kohya draws and throws away.</summary>
    public void Skip(long count)
    {
        var state = TorchState.Read(Torch);
        state.Twister.Skip(count);
        state.Write(Torch);
    }

    /// <summary>Draws a seed for a loader's workers.</summary>
    public long WorkerSeed()
    {
        var state = TorchState.Read(Torch);
        var seed = LoaderOrder.DrawSeed(state.Twister.Next);
        state.Write(Torch);
        return seed;
    }

    /// <summary>Draws the order of an epoch as PyTorch's loader does: a seed for workers, which nobody uses here, then the seed of a shuffle of its own.</summary>
    /// <param name="count">Batches of the epoch.</param>
    /// <returns>Which batch comes when.</returns>
    public long[] EpochOrder(int count) => EpochOrder(count, workersBegin: true).Order;

    /// <summary>As <see cref="EpochOrder(int)"/>, with the seed for workers.</summary>
    /// <param name="count">Batches of the epoch.</param>
    /// <param name="workersBegin">Whether a seed for workers is drawn; those that live on need none.</param>
    public (long WorkerSeed, long[] Order) EpochOrder(int count, bool workersBegin)
    {
        var state = TorchState.Read(Torch);
        var workers = workersBegin ? LoaderOrder.DrawSeed(state.Twister.Next) : 0;
        var shuffle = LoaderOrder.DrawSeed(state.Twister.Next);
        state.Write(Torch);
        return (workers, LoaderOrder.Permutation(shuffle, count));
    }

    /// <summary>Whether <see cref="Torch"/> has given as many outputs as <paramref name="expected"/>, a generator of the same seed: the check of a run against a recorded position.</summary>
    public bool IsAt(MersenneTwister expected)
    {
        var state = TorchState.Read(Torch).Twister;
        var (mine, theirs) = (new MersenneTwister(state.State, state.Index), new MersenneTwister(expected.State, expected.Index));
        for (var i = 0; i < 4; i++)
            if (mine.Next() != theirs.Next()) return false;
        return true;
    }

    /// <summary>Both generators as bytes, to go on from with <see cref="Restore"/>.</summary>
    public (byte[] Python, byte[] Torch) Save()
    {
        var python = new byte[(MersenneTwister.Words + 1) * sizeof(uint)];
        for (var i = 0; i < MersenneTwister.Words; i++) BinaryPrimitives.WriteUInt32LittleEndian(python.AsSpan(i * sizeof(uint)), Python.Twister.State[i]);
        BinaryPrimitives.WriteInt32LittleEndian(python.AsSpan(MersenneTwister.Words * sizeof(uint)), Python.Twister.Index);
        using var state = Torch.get_state();
        return (python, state.bytes.ToArray());
    }

    /// <summary>Goes on where <see cref="Save"/> was called.</summary>
    public void Restore(byte[] python, byte[] torch)
    {
        var words = new uint[MersenneTwister.Words];
        for (var i = 0; i < words.Length; i++) words[i] = BinaryPrimitives.ReadUInt32LittleEndian(python.AsSpan(i * sizeof(uint)));
        Python.Restore(new MersenneTwister(words, BinaryPrimitives.ReadInt32LittleEndian(python.AsSpan(words.Length * sizeof(uint)))));
        using var state = tensor(torch);
        Torch.set_state(state);
    }

    /// <inheritdoc/>
    public void Dispose() => Torch.Dispose();

    // The state of libtorch's CPU generator as bytes: its seed, the twister (64 bits a word, left over from Torch 7), cached normal numbers.
    private sealed class TorchState
    {
        private const int LeftAt = 8, NextAt = 16, WordsAt = 24;
        private readonly byte[] bytes;

        private TorchState(byte[] bytes)
        {
            this.bytes = bytes;
            var words = new uint[MersenneTwister.Words];
            for (var i = 0; i < words.Length; i++) words[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(WordsAt + i * sizeof(ulong)));
            var left = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(LeftAt));
            Twister = new(words, MersenneTwister.Words - left + 1);     // a fresh generator has one left and nothing taken: a twist is due
        }

        public MersenneTwister Twister { get; }

        public static TorchState Read(Generator generator)
        {
            using var state = generator.get_state();
            return new(state.bytes.ToArray());
        }

        public void Write(Generator generator)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(LeftAt), MersenneTwister.Words - Twister.Index + 1);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(NextAt), (ulong)Twister.Index);
            for (var i = 0; i < MersenneTwister.Words; i++) BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(WordsAt + i * sizeof(ulong)), Twister.State[i]);
            using var state = tensor(bytes);
            generator.set_state(state);
        }
    }
}
