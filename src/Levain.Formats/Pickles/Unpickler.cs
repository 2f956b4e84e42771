using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using Levain.Core;

namespace Levain.Formats.Pickles;

/// <summary>
/// Reads a Python pickle as data. It builds containers, texts, numbers and tensor descriptions with its own code and calls nothing: names are
/// only compared with <see cref="PickleGlobals"/>, and one that is not there ends the reading.
/// </summary>
/// <remarks>Opcodes: CPython <c>Lib/pickletools.py</c>, protocols 0 to 5. Memory is bounded by the operations allowed; nothing recurses.</remarks>
internal sealed class Unpickler
{
    private const int MaxProtocol = 5;
    private const int MaxOperations = 1_000_000; // the largest files with optimizer states need a fifth of it
    private const int MaxLine = 4300;            // Python's own limit for digits; names and text numbers are far shorter

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly Stream stream;
    private readonly long end;
    private readonly Func<PickleTuple, PickleStorage> storageOf;
    private readonly List<object?> stack = [];
    private readonly Stack<int> marks = [];
    private readonly Dictionary<long, object?> memo = [];
    private readonly byte[] scratch = new byte[8];

    private Unpickler(Stream stream, long end, Func<PickleTuple, PickleStorage> storageOf) => (this.stream, this.end, this.storageOf) = (stream, end, storageOf);

    /// <summary>Reads one pickle and leaves the stream behind its end.</summary>
    /// <param name="stream">Positioned at the pickle.</param>
    /// <param name="end">Where its bytes end at the latest.</param>
    /// <param name="storageOf">Understands a persistent id, the pickle's reference to bytes beside it.</param>
    /// <exception cref="PickleFault">It breaks the rules, or names code.</exception>
    public static object? Read(Stream stream, long end, Func<PickleTuple, PickleStorage> storageOf) => new Unpickler(stream, end, storageOf).Run();

    private object? Run()
    {
        for (var operations = 0; ; operations++)
        {
            if (operations == MaxOperations) throw new PickleFault(CheckpointFault.TooLarge, $"the pickle has more than {MaxOperations:N0} operations; no real model does.");
            var code = Byte();
            if (code == '.') return stack.Count == 1 && marks.Count == 0 ? stack[0] : throw Bad("ends with more or less than one value.");
            if (!Constant(code) && !Container(code) && !Reference(code)) throw Bad($"has an operation 0x{code:X2} that data does not need.");
        }
    }

    // ---- numbers and texts

    private bool Constant(int code)
    {
        switch (code)
        {
            case 0x80: // PROTO
                var protocol = Byte();
                if (protocol > MaxProtocol) throw Bad($"is of protocol {protocol}; up to {MaxProtocol} are known.");
                return true;
            case 0x95: // FRAME
                Length(8);
                return true;
            case 'N': return Push(null);
            case 0x88: return Push(true);
            case 0x89: return Push(false);
            case 'J': return Push((long)BinaryPrimitives.ReadInt32LittleEndian(Fixed(4)));
            case 'K': return Push((long)Byte());
            case 'M': return Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Fixed(2)));
            case 'G': return Push(BinaryPrimitives.ReadDoubleBigEndian(Fixed(8)));
            case 0x8a: return Push(Integer(Bytes(Byte())));
            case 0x8b: return Push(Integer(Bytes(Length(4))));
            case 'I': return Push(Line() switch { "00" => false, "01" => true, var digits => Integer(digits) });
            case 'L': return Push(Integer(Line().TrimEnd('L')));
            case 'F': return Push(double.TryParse(Line(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : throw Bad("has a number that is none."));
            case 'X': return Push(Text(Bytes(Length(4))));
            case 0x8c: return Push(Text(Bytes(Byte())));
            case 0x8d: return Push(Text(Bytes(Length(8))));
            case 'V': return Push(Line());
            case 'S': return Push(Line().Trim('\'', '"'));
            case 'T': return Push(OldText(Bytes(Length(4))));
            case 'U': return Push(OldText(Bytes(Byte())));
            case 'B': return Push(Bytes(Length(4)));
            case 'C': return Push(Bytes(Byte()));
            case 0x8e or 0x96: return Push(Bytes(Length(8)));
            default: return false;
        }
    }

    // ---- containers and the stack

    private bool Container(int code)
    {
        switch (code)
        {
            case '(':
                marks.Push(stack.Count);
                return true;
            case '0':
                if (stack.Count > Floor) Pop();
                else PopMarked();
                return true;
            case '1':
                PopMarked();
                return true;
            case '2': return Push(Top);
            case ')': return Push(new PickleTuple([]));
            case 't': return Push(new PickleTuple(PopMarked()));
            case 0x85 or 0x86 or 0x87: return Push(new PickleTuple(PopMany(code - 0x84)));
            case ']': return Push(new List<object?>());
            case 'l': return Push(new List<object?>(PopMarked()));
            case 'a': return Append([Pop()]);
            case 'e': return Append(PopMarked());
            case '}': return Push(new PickleDict());
            case 'd':
                var pairs = PopMarked();
                Push(new PickleDict());
                return SetItems(pairs);
            case 's': return SetItems(PopMany(2));
            case 'u': return SetItems(PopMarked());
            case 0x8f: return Push(new PickleSet());
            case 0x90:
                PopMarked();
                return Top is PickleSet ? true : throw Bad("adds members to what is no set.");
            case 0x91:
                PopMarked();
                return Push(new PickleSet());
            default: return false;
        }
    }

    // ---- names, memory and objects

    private bool Reference(int code)
    {
        switch (code)
        {
            case 'p': return Memoize(long.TryParse(Line(), CultureInfo.InvariantCulture, out var put) ? put : -1);
            case 'q': return Memoize(Byte());
            case 'r': return Memoize(BinaryPrimitives.ReadUInt32LittleEndian(Fixed(4)));
            case 0x94: return Memoize(memo.Count);
            case 'g': return Recall(long.TryParse(Line(), CultureInfo.InvariantCulture, out var get) ? get : -1);
            case 'h': return Recall(Byte());
            case 'j': return Recall(BinaryPrimitives.ReadUInt32LittleEndian(Fixed(4)));
            case 'c': return Push(Global(Line(), Line()));
            case 0x93:
                var names = PopMany(2);
                return names is [string module, string name] ? Push(Global(module, name)) : throw Bad("names something by what is no text.");
            case 'Q': return Push(storageOf(Pop() as PickleTuple ?? throw Bad("refers to outside data by something other than a storage.")));
            case 'R':
                var (callee, arguments) = PopCall();
                return Push(Build(callee, arguments));
            case 0x81:
                var (type, given) = PopCall();
                return Push(Build(type, given));
            case 0x92: // class, arguments, keyword arguments
                Pop();
                (type, given) = PopCall();
                return Push(Build(type, given));
            case 'i':
                type = Global(Line(), Line());
                return Push(Build(type, PopMarked()));
            case 'o':
                var parts = PopMarked();
                return parts is [PickleGlobal named, .. var rest] ? Push(Build(named, rest)) : throw Bad("makes an object of what is no class.");
            case 'b':
                var state = Pop();
                return SetState(state);
            default: return false;
        }
    }

    private static PickleGlobal Global(string module, string name) => PickleGlobals.Find(module, name)
        ?? throw new PickleFault(CheckpointFault.ForbiddenGlobal, $"the pickle names '{module}.{name}', which is not data. Nothing was run. Do not load this file elsewhere unless you trust who made it.");

    private static object? Build(PickleGlobal callee, object?[] arguments)
    {
        switch (callee.Role)
        {
            case PickleRole.RebuildTensor: return PickleTensors.Rebuild(arguments, typed: false);
            case PickleRole.RebuildTypedTensor: return PickleTensors.Rebuild(arguments, typed: true);
            case PickleRole.RebuildParameter: return arguments is [PickleTensor data, ..] ? data : throw Bad("makes a parameter of what is no tensor.");
            case PickleRole.OrderedDict: return FilledDict(arguments);
            case PickleRole.ParameterDict: return new PickleDict();
            case PickleRole.Size: return arguments is [PickleTuple sides] ? sides : throw Bad("makes a size of what is no tuple.");
            case PickleRole.Set: return new PickleSet();
            case PickleRole.Bytes: return arguments is [byte[] bytes] ? bytes : Array.Empty<byte>();
            case PickleRole.Encode: return arguments is [string text, ..] ? Encoding.Latin1.GetBytes(text) : throw Bad("encodes what is no text.");
            case PickleRole.Opaque: return new PickleObject(callee);
            default: throw Bad($"calls {callee}, which is a type.");
        }
    }

    /// <summary>An OrderedDict may be made from a list of pairs.</summary>
    private static PickleDict FilledDict(object?[] arguments)
    {
        var dict = new PickleDict();
        if (arguments is []) return dict;
        foreach (var pair in arguments is [List<object?> pairs] ? pairs : throw Bad("fills a dict with what is no list of pairs."))
        {
            object?[] both = pair switch { List<object?> list => [.. list], PickleTuple tuple => tuple.Items, _ => [] };
            if (both is not [var key, var value]) throw Bad("fills a dict with what is no pair.");
            dict.Set(Key(key), value);
        }
        return dict;
    }

    private bool SetState(object? state)
    {
        switch (Top)
        {
            case PickleObject target:
                target.State = state;
                return true;
            case PickleDict parameters when state is PickleDict fields: // an OrderedDict's attributes, or a module's fields
                foreach (var pair in (fields.Get("_parameters") as PickleDict)?.Items ?? []) parameters.Set(pair.Key, pair.Value);
                return true;
            case PickleDict or PickleTensor or PickleSet: return true;
            default: throw Bad("gives a state to what has none.");
        }
    }

    private bool Append(object?[] items)
    {
        switch (Top)
        {
            case List<object?> list:
                list.AddRange(items);
                return true;
            case PickleObject: return true;
            default: throw Bad("appends to what is no list.");
        }
    }

    private bool SetItems(object?[] pairs)
    {
        if (pairs.Length % 2 != 0) throw Bad("sets a key without a value.");
        var target = Top switch { PickleDict dict => dict, PickleObject made => made.Items, _ => throw Bad("sets keys of what is no dict.") };
        for (var i = 0; i < pairs.Length; i += 2) target.Set(Key(pairs[i]), pairs[i + 1]);
        return true;
    }

    private static object Key(object? key) => key is string or long or bool or double or BigInteger or PickleGlobal or PickleTuple ? key : throw Bad("has a key that cannot be one.");

    // ---- stack and bytes

    private int Floor => marks.Count > 0 ? marks.Peek() : 0;

    private object? Top => stack.Count > Floor ? stack[^1] : throw Bad("takes a value where there is none.");

    private bool Push(object? value)
    {
        stack.Add(value);
        return true;
    }

    private object? Pop()
    {
        var value = Top;
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    private object?[] PopMany(int count)
    {
        if (stack.Count - Floor < count) throw Bad("takes a value where there is none.");
        object?[] values = [.. stack[^count..]];
        stack.RemoveRange(stack.Count - count, count);
        return values;
    }

    private object?[] PopMarked()
    {
        if (!marks.TryPop(out var mark)) throw Bad("closes a group that was not opened.");
        object?[] values = [.. stack[mark..]];
        stack.RemoveRange(mark, stack.Count - mark);
        return values;
    }

    private (PickleGlobal Callee, object?[] Arguments) PopCall() => PopMany(2) is [PickleGlobal callee, PickleTuple arguments]
        ? (callee, arguments.Items)
        : throw Bad("calls what is no name.");

    private bool Memoize(long index)
    {
        memo[index] = Top;
        return true;
    }

    private bool Recall(long index) => memo.TryGetValue(index, out var value) ? Push(value) : throw Bad($"recalls {index}, which was not remembered.");

    private int Byte()
    {
        var value = stream.Position < end ? stream.ReadByte() : -1;
        return value >= 0 ? value : throw Ended();
    }

    private ReadOnlySpan<byte> Fixed(int count)
    {
        if (stream.Position + count > end) throw Ended();
        var bytes = scratch.AsSpan(0, count);
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>A length of 4 or 8 bytes; only <see cref="Bytes"/> believes it, after comparing it with what is left.</summary>
    private long Length(int width)
    {
        var bytes = Fixed(width);
        var length = width == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return length <= long.MaxValue ? (long)length : throw Ended();
    }

    private byte[] Bytes(long count)
    {
        if (count > end - stream.Position) throw Ended();
        var bytes = new byte[count];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private string Line()
    {
        var text = new StringBuilder();
        for (var c = Byte(); c != '\n'; c = Byte())
        {
            if (text.Length == MaxLine) throw Bad($"has a line of more than {MaxLine} characters.");
            text.Append((char)c);
        }
        return text.ToString();
    }

    private static object Integer(string digits) =>
        BigInteger.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? Small(value) : throw Bad("has a number that is none.");

    private static object Integer(byte[] littleEndian) => Small(new BigInteger(littleEndian));

    private static object Small(BigInteger value) => value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;

    private static string Text(byte[] bytes)
    {
        try
        {
            return Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Bad("has a text that is not UTF-8.");
        }
    }

    /// <summary>Python 2's byte strings: names in ASCII, or the raw bytes of a numpy value.</summary>
    private static string OldText(byte[] bytes) => System.Text.Unicode.Utf8.IsValid(bytes) ? Utf8.GetString(bytes) : Encoding.Latin1.GetString(bytes);

    private PickleFault Ended() => new(CheckpointFault.BadPickle, "the pickle ends in the middle.");

    private static PickleFault Bad(string what) => new(CheckpointFault.BadPickle, $"the pickle {what}");
}
