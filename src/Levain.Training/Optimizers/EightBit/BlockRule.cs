using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training.EightBit;

/// <summary>A rule whose memory is 8-bit blocks: decode, apply, encode, block by block.</summary>
internal abstract unsafe class BlockRule : UpdateRule
{
    // Blocks that a thread takes at once.
    private const int Batch = 64;

    private readonly BlockMemory first;
    private readonly BlockMemory? second, third;

    /// <param name="parameters">What is trained.</param>
    /// <param name="smallest">Elements from which on a tensor is coded.</param>
    /// <param name="moments">1: a signed moment. 2: a second one that is never negative. 3: another signed one.</param>
    protected BlockRule(TrainedParameters parameters, long smallest, int moments) : base(parameters)
    {
        Tensor slot(string name, long length, ScalarType type) => Slot(name, length, type);
        first = new(parameters, DynamicMap.Signed, smallest, "state1", slot);
        second = moments >= 2 ? new(parameters, DynamicMap.Unsigned, smallest, "state2", slot) : null;
        third = moments >= 3 ? new(parameters, DynamicMap.Signed, smallest, "state3", slot) : null;
    }

    /// <summary>The first moment's memory.</summary>
    public BlockMemory First => first;

    /// <summary>The second moment's memory; null where there is none.</summary>
    public BlockMemory? Second => second;

    /// <summary>Applies a rule of slots A, B and C to all tensors of a run.</summary>
    protected void Apply<R>(R rule, TensorRun run) where R : struct, IElementRule
    {
        foreach (var tensor in run.Tensors.Where(tensor => !first[tensor].Coded))
        {
            using var scope = NewDisposeScope();
            Tensor[] slots = [.. new[] { first, second, third }.OfType<BlockMemory>().Select(memory => memory.Plain.narrow(0, memory[tensor].Start, tensor.Length))];
            ElementLoop.Run(rule, Values.narrow(0, tensor.Start, tensor.Length), Gradients.narrow(0, tensor.Start, tensor.Length), slots, [(0, tensor.Length)], Parameters.Fused);
        }
        var coded = run.Tensors.Where(tensor => first[tensor].Coded).ToList();
        if (Parameters.Fused) ApplyFused(rule, coded);
        else foreach (var tensor in coded) ApplyByTensors(rule, tensor);
    }

    private void ApplyByTensors<R>(R rule, TrainedTensor tensor) where R : struct, IElementRule
    {
        using var scope = NewDisposeScope();
        Tensor[] slots = [.. new[] { first, second, third }.OfType<BlockMemory>().Select(memory => memory.Decode(tensor))];
        ElementLoop.ByTensors(rule, Values.narrow(0, tensor.Start, tensor.Length), Gradients.narrow(0, tensor.Start, tensor.Length), slots, [(0, tensor.Length)]);
        first.Encode(tensor, slots[0], keepSign: true);
        second?.Encode(tensor, slots[1], keepSign: false);
        third?.Encode(tensor, slots[^1], keepSign: true);
    }

    private void ApplyFused<R>(R rule, List<TrainedTensor> tensors) where R : struct, IElementRule
    {
        var work = tensors.SelectMany(tensor => Enumerable.Range(0, (int)((tensor.Length + Batch * BlockMemory.Block - 1) / (Batch * BlockMemory.Block))).Select(batch => (tensor, batch))).ToArray();
        var (p, g) = (ElementLoop.Address<float>(Values), ElementLoop.Address<float>(Gradients));
        var one = (ElementLoop.Address<byte>(first.Codes), ElementLoop.Address<float>(first.Largest));
        var two = second is null ? default : (ElementLoop.Address<byte>(second.Codes), ElementLoop.Address<float>(second.Largest));
        var three = third is null ? default : (ElementLoop.Address<byte>(third.Codes), ElementLoop.Address<float>(third.Largest));

        void batch(int index)
        {
            var (tensor, number) = work[index];
            var (_, start, block) = first[tensor];          // the other moments lie the same way
            var a = stackalloc float[BlockMemory.Block];
            var b = stackalloc float[BlockMemory.Block];
            var c = stackalloc float[BlockMemory.Block];
            var from = (long)number * Batch * BlockMemory.Block;
            for (var at = from; at < Math.Min(tensor.Length, from + Batch * BlockMemory.Block); at += BlockMemory.Block)
            {
                var count = (int)Math.Min(BlockMemory.Block, tensor.Length - at);
                var (place, share) = (start + at, block + at / BlockMemory.Block);
                decode(first.Map, one, a);
                if (second is not null) decode(second.Map, two, b);
                if (third is not null) decode(third.Map, three, c);
                ElementLoop.Go(rule, (float*)p + tensor.Start + at, (float*)g + tensor.Start + at, a, b, c, null, null, count, []);
                encode(first.Map, one, a, keepSign: true);
                if (second is not null) encode(second.Map, two, b, keepSign: false);
                if (third is not null) encode(third.Map, three, c, keepSign: true);

                void decode(DynamicMap map, (nint Codes, nint Largest) memory, float* numbers) =>
                    map.Decode(new((byte*)memory.Codes + place, count), ((float*)memory.Largest)[share], new(numbers, count));

                void encode(DynamicMap map, (nint Codes, nint Largest) memory, float* numbers, bool keepSign) =>
                    ((float*)memory.Largest)[share] = map.Encode(new(numbers, count), new((byte*)memory.Codes + place, count), keepSign);
            }
        }

        if (work.Length <= 1)
            for (var i = 0; i < work.Length; i++) batch(i);
        else Parallel.For(0, work.Length, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, batch);
    }
}
