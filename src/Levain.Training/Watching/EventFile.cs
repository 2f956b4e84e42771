using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Levain.Training.Watching;

/// <summary>A TensorBoard event file: protobuf <c>Event</c> messages in TFRecord frames, appended as they happen.</summary>
/// <remarks>
/// Frame, little endian: uint64 length, uint32 masked CRC-32C of those 8 bytes, the message, uint32 masked CRC-32C of the message.
/// Messages: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto, of which only the fields named below are written.
/// </remarks>
public sealed class EventFile : IDisposable
{
    private const int LengthBytes = sizeof(ulong), CrcBytes = sizeof(uint), HeaderBytes = LengthBytes + CrcBytes;
    private const uint CrcMaskDelta = 0xA282EAD8;
    private const int CrcMaskRotation = 15;
    private const int ColorspaceRgb = 3;
    private readonly FileStream stream;

    private EventFile(FileStream stream) => this.stream = stream;

    /// <summary>Where the file lies.</summary>
    public string Path => stream.Name;

    /// <summary>Starts a file of the name TensorBoard looks for, <c>events.out.tfevents.SECONDS.HOST.PROCESS.0</c>.</summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="now">Time of the first record.</param>
    public static EventFile Create(string folder, DateTimeOffset now)
    {
        Directory.CreateDirectory(folder);
        var name = $"events.out.tfevents.{now.ToUnixTimeSeconds():0000000000}.{Environment.MachineName}.{Environment.ProcessId}.0";
        var file = new EventFile(new(System.IO.Path.Combine(folder, name), FileMode.Create, FileAccess.Write, FileShare.Read));
        file.Append(new Message().Double(1, Seconds(now)).Text(3, "brain.Event:2"));
        return file;
    }

    /// <summary>Goes on with a file after a resume: what was logged after <paramref name="lastStep"/>, and a record cut short, is dropped.</summary>
    public static EventFile Reopen(string path, long lastStep)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        stream.SetLength(EndOfStep(stream, lastStep));
        stream.Seek(0, SeekOrigin.End);
        return new(stream);
    }

    /// <summary>Adds one point of a curve.</summary>
    public void Scalar(string tag, double value, long step, DateTimeOffset now) =>
        AppendValue(new Message().Text(1, tag).Float(2, (float)value), step, now);

    /// <summary>Adds a picture.</summary>
    /// <param name="png">A PNG file, RGB.</param>
    public void Picture(string tag, ReadOnlySpan<byte> png, int width, int height, long step, DateTimeOffset now) =>
        AppendValue(new Message().Text(1, tag).Embed(4,
            new Message().Integer(1, height).Integer(2, width).Integer(3, ColorspaceRgb).Bytes(4, png)), step, now);

    /// <inheritdoc/>
    public void Dispose() => stream.Dispose();

    private void AppendValue(Message value, long step, DateTimeOffset now) =>
        Append(new Message().Double(1, Seconds(now)).Integer(2, step).Embed(5, new Message().Embed(1, value)));

    private void Append(Message message)
    {
        var body = message.ToSpan();
        Span<byte> header = stackalloc byte[HeaderBytes];
        Span<byte> footer = stackalloc byte[CrcBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)body.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[LengthBytes..], MaskedCrc(header[..LengthBytes]));
        BinaryPrimitives.WriteUInt32LittleEndian(footer, MaskedCrc(body));
        stream.Write(header);
        stream.Write(body);
        stream.Write(footer);
        stream.Flush();
    }

    private static double Seconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).TotalSeconds;

    /// <summary>Position after the last whole record before the first one of a later step.</summary>
    private static long EndOfStep(FileStream stream, long lastStep)
    {
        var end = 0L;
        Span<byte> header = stackalloc byte[HeaderBytes];
        while (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) == HeaderBytes)
        {
            var length = BinaryPrimitives.ReadUInt64LittleEndian(header);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[LengthBytes..]) != MaskedCrc(header[..LengthBytes])) break;
            if ((ulong)(stream.Length - stream.Position) < length + CrcBytes) break;
            var body = new byte[length];
            stream.ReadExactly(body);
            stream.Seek(CrcBytes, SeekOrigin.Current);
            if (StepOf(body) > lastStep) break;
            end = stream.Position;
        }
        return end;
    }

    /// <summary>Field 2 of an <c>Event</c>; it follows the time, which is always written first. 0 where it is absent.</summary>
    private static long StepOf(ReadOnlySpan<byte> body)
    {
        const int AfterTime = 1 + sizeof(double);
        if (body.Length <= AfterTime || body[AfterTime] != (2 << 3 | Message.Varint)) return 0;
        var step = 0L;
        var shift = 0;
        foreach (var part in body[(AfterTime + 1)..])
        {
            step |= (long)(part & 0x7F) << shift;
            if (part < 0x80) break;
            shift += 7;
        }
        return step;
    }

    private static uint MaskedCrc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes) crc = BitOperations.Crc32C(crc, value);
        return BitOperations.RotateRight(~crc, CrcMaskRotation) + CrcMaskDelta;
    }

    /// <summary>A protobuf message under construction; each call adds one field and returns the message.</summary>
    private sealed class Message
    {
        public const int Varint = 0;
        private const int Fixed64 = 1, LengthDelimited = 2, Fixed32 = 5;
        private readonly MemoryStream bytes = new();

        public ReadOnlySpan<byte> ToSpan() => bytes.GetBuffer().AsSpan(0, (int)bytes.Length);

        public Message Double(int field, double value)
        {
            Span<byte> buffer = stackalloc byte[sizeof(double)];
            BinaryPrimitives.WriteDoubleLittleEndian(buffer, value);
            return Key(field, Fixed64).Raw(buffer);
        }

        public Message Float(int field, float value)
        {
            Span<byte> buffer = stackalloc byte[sizeof(float)];
            BinaryPrimitives.WriteSingleLittleEndian(buffer, value);
            return Key(field, Fixed32).Raw(buffer);
        }

        public Message Integer(int field, long value) => Key(field, Varint).Variable((ulong)value);

        public Message Text(int field, string text) => Bytes(field, Encoding.UTF8.GetBytes(text));

        public Message Embed(int field, Message message) => Bytes(field, message.ToSpan());

        public Message Bytes(int field, ReadOnlySpan<byte> value) => Key(field, LengthDelimited).Variable((ulong)value.Length).Raw(value);

        private Message Key(int field, int wireType) => Variable((ulong)(field << 3 | wireType));

        private Message Variable(ulong value)
        {
            for (; value >= 0x80; value >>= 7) bytes.WriteByte((byte)(value | 0x80));
            bytes.WriteByte((byte)value);
            return this;
        }

        private Message Raw(ReadOnlySpan<byte> value)
        {
            bytes.Write(value);
            return this;
        }
    }
}
