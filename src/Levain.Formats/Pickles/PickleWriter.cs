using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>Writes the pickles that other programs read with <c>torch.load</c>: a zip with the object and one file for each tensor's values.</summary>
/// <remarks>
/// Objects are tables (lists of pairs), tuples (arrays), tensors, texts, whole numbers, numbers, truths and null. Pickle protocol 2, layout as PyTorch's
/// <c>torch/serialization.py</c> writes it; nothing in the file is run by a reader that knows tensors.
/// </remarks>
public static class PickleWriter
{
    private const string Root = "archive/";

    /// <summary>Writes the file whole or not at all.</summary>
    /// <param name="path">Target; an existing file is replaced at the end.</param>
    /// <param name="value">The object; tensors are on any device and not disposed.</param>
    /// <exception cref="ArgumentException">The object holds something else.</exception>
    public static void Write(string path, object? value) => AtomicFile.Write(path, stream => Write(stream, value));

    /// <inheritdoc cref="Write(string, object?)"/>
    /// <param name="stream">Where the bytes go.</param>
    public static void Write(Stream stream, object? value)
    {
        var pickle = new Pickle();
        pickle.Header();
        pickle.Put(value);
        pickle.End();
        using var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true);
        Entry("data.pkl", target => target.Write(pickle.Bytes));
        Entry("byteorder", target => target.Write("little"u8));
        for (var i = 0; i < pickle.Tensors.Count; i++)
        {
            var tensor = pickle.Tensors[i];
            Entry($"data/{i}", target => Safetensors.ReadValues(tensor, target.Write));
        }
        Entry("version", target => target.Write("3\n"u8));

        void Entry(string name, Action<Stream> write)
        {
            using var target = zip.CreateEntry(Root + name, CompressionLevel.NoCompression).Open();
            write(target);
        }
    }

    private sealed class Pickle
    {
        private readonly MemoryStream bytes = new();

        /// <summary>Tensors met on the way; their number is their file's name.</summary>
        public List<Tensor> Tensors { get; } = [];

        public ReadOnlySpan<byte> Bytes => bytes.GetBuffer().AsSpan(0, (int)bytes.Length);

        public void Header() => Code(0x80, 2);

        public void End() => Code((byte)'.');

        public void Put(object? value)
        {
            switch (value)
            {
                case null: Code((byte)'N'); break;
                case bool flag: Code(flag ? (byte)0x88 : (byte)0x89); break;
                case int whole: Number(whole); break;
                case long whole: Number(whole); break;
                case double number: Code((byte)'G'); BinaryPrimitives.WriteDoubleBigEndian(Space(sizeof(double)), number); break;
                case string text: Text(text); break;
                case Tensor tensor: Values(tensor); break;
                case IEnumerable<KeyValuePair<object, object?>> table: Table(table); break;
                case IEnumerable<KeyValuePair<string, Tensor>> named: Table(named.Select(pair => KeyValuePair.Create<object, object?>(pair.Key, pair.Value))); break;
                case object?[] items: Tuple(items); break;
                default: throw new ArgumentException($"{value.GetType()} is nothing that is written to pickles.", nameof(value));
            }
        }

        private void Table(IEnumerable<KeyValuePair<object, object?>> pairs)
        {
            Code((byte)'}');
            Code((byte)'(');
            foreach (var (key, value) in pairs)
            {
                Put(key);
                Put(value);
            }
            Code((byte)'u');
        }

        private void Tuple(IEnumerable<object?> items)
        {
            Code((byte)'(');
            foreach (var item in items) Put(item);
            Code((byte)'t');
        }

        // torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
        private void Values(Tensor tensor)
        {
            Global("torch._utils", "_rebuild_tensor_v2");
            Code((byte)'(');
            Code((byte)'(');
            Text("storage");
            Global("torch", Storage(tensor.dtype));
            Text(Tensors.Count.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Text("cpu");
            Number(tensor.numel());
            Code((byte)'t');
            Code((byte)'Q');
            Number(0);
            Tuple([.. tensor.shape.Cast<object?>()]);
            Tuple([.. Strides(tensor.shape).Cast<object?>()]);
            Put(false);
            Global("collections", "OrderedDict");
            Code((byte)')');
            Code((byte)'R');
            Code((byte)'t');
            Code((byte)'R');
            Tensors.Add(tensor);
        }

        private static long[] Strides(long[] shape)
        {
            var strides = new long[shape.Length];
            for (var (i, stride) = (shape.Length - 1, 1L); i >= 0; stride *= shape[i--]) strides[i] = stride;
            return strides;
        }

        private static string Storage(ScalarType dtype) => dtype switch
        {
            ScalarType.Float32 => "FloatStorage",
            ScalarType.Float16 => "HalfStorage",
            ScalarType.BFloat16 => "BFloat16Storage",
            ScalarType.Float64 => "DoubleStorage",
            ScalarType.Int64 => "LongStorage",
            ScalarType.Int32 => "IntStorage",
            ScalarType.Byte => "ByteStorage",
            ScalarType.Bool => "BoolStorage",
            _ => throw new ArgumentException($"Tensors of {dtype} are not written to pickles."),
        };

        private void Global(string module, string name)
        {
            Code((byte)'c');
            bytes.Write(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));
        }

        private void Text(string text)
        {
            var utf8 = Encoding.UTF8.GetBytes(text);
            Code((byte)'X');
            BinaryPrimitives.WriteInt32LittleEndian(Space(sizeof(int)), utf8.Length);
            bytes.Write(utf8);
        }

        private void Number(long value)
        {
            if (value is >= int.MinValue and <= int.MaxValue)
            {
                Code((byte)'J');
                BinaryPrimitives.WriteInt32LittleEndian(Space(sizeof(int)), (int)value);
                return;
            }
            Code(0x8A, sizeof(long));
            BinaryPrimitives.WriteInt64LittleEndian(Space(sizeof(long)), value);
        }

        private Span<byte> Space(int size)
        {
            var at = (int)bytes.Length;
            bytes.SetLength(at + size);
            bytes.Position = at + size;
            return bytes.GetBuffer().AsSpan(at, size);
        }

        private void Code(params ReadOnlySpan<byte> codes) => bytes.Write(codes);
    }
}
