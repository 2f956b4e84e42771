using System.Buffers.Binary;
using System.Text;
using Levain.Training;
using Levain.Training.Watching;
using Xunit;

namespace Levain.Tests.Training.Watching;

public sealed class EventFileTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("levain-events");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void The_first_record_is_the_one_TensorBoard_writes()
    {
        string path;
        using (var file = EventFile.Create(folder.FullName, DateTimeOffset.UnixEpoch.AddSeconds(1))) path = file.Path;
        Assert.StartsWith("events.out.tfevents.0000000001.", Path.GetFileName(path));
        Assert.Equal("1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a",
            Convert.ToHexStringLower(File.ReadAllBytes(path)));
    }

    [Fact]
    public void Scalars_and_pictures_can_be_read_back()
    {
        string path;
        using (var file = EventFile.Create(folder.FullName, DateTimeOffset.UnixEpoch))
        {
            file.Scalar("loss/current", 0.125, 300, DateTimeOffset.UnixEpoch.AddSeconds(2.5));
            file.Picture("sample", [1, 2, 3], 640, 480, 301, DateTimeOffset.UnixEpoch);
            path = file.Path;
        }
        var records = Records(path);
        Assert.Equal(3, records.Count);
        var scalar = Fields(records[1]);
        Assert.Equal(2.5, BitConverter.ToDouble(scalar[1]));
        Assert.Equal(300, BitConverter.ToInt64(scalar[2]));
        var value = Fields(Fields(scalar[5])[1]);
        Assert.Equal("loss/current", Encoding.UTF8.GetString(value[1]));
        Assert.Equal(0.125f, BitConverter.ToSingle(value[2]));
        var picture = Fields(Fields(Fields(Fields(records[2])[5])[1])[4]);
        Assert.Equal(480, BitConverter.ToInt64(picture[1]));
        Assert.Equal(640, BitConverter.ToInt64(picture[2]));
        Assert.Equal([1, 2, 3], picture[4]);
    }

    [Fact]
    public void A_resumed_log_holds_each_step_once()
    {
        TensorBoardLog Step(TensorBoardLog log, int step)
        {
            log.Report(new StepDone(step, 9, 1, 1, 0.5, 0.5, [new("loss/current", step)]));
            return log;
        }
        string path;
        using (var log = TensorBoardLog.Create(folder.FullName, "x", "dreambooth", TimeProvider.System))
        {
            for (var step = 1; step <= 5; step++) Step(log, step);
            path = log.Path;
        }
        Assert.Equal("dreambooth", Path.GetFileName(Path.GetDirectoryName(path)));
        using (var cut = File.Open(path, FileMode.Append)) cut.Write([9, 9, 9]);
        using (var log = TensorBoardLog.Resume(folder.FullName, "x", "dreambooth", lastStep: 3, TimeProvider.System))
        {
            Assert.Equal(path, log.Path);
            Step(Step(log, 4), 5);
        }
        Assert.Equal([1L, 2, 3, 4, 5], Records(path).Skip(1).Select(record => BitConverter.ToInt64(Fields(record)[2])));
    }

    private static List<byte[]> Records(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var records = new List<byte[]>();
        for (var at = 0; at < bytes.Length;)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            Assert.Equal(Masked(bytes[at..(at + 8)]), BitConverter.ToUInt32(bytes, at + 8));
            var body = bytes[(at + 12)..(at + 12 + length)];
            Assert.Equal(Masked(body), BitConverter.ToUInt32(bytes, at + 12 + length));
            records.Add(body);
            at += length + 16;
        }
        return records;
    }

    // CRC-32C bit by bit, so that the product's table or instruction is not its own judge.
    private static uint Masked(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
        }
        crc = ~crc;
        return (crc >> 15 | crc << 17) + 0xA282EAD8;
    }

    private static Dictionary<int, byte[]> Fields(byte[] message)
    {
        var fields = new Dictionary<int, byte[]>();
        var at = 0;
        ulong Number()
        {
            ulong value = 0;
            for (var shift = 0; ; shift += 7)
            {
                var part = message[at++];
                value |= (ulong)(part & 0x7F) << shift;
                if (part < 0x80) return value;
            }
        }
        while (at < message.Length)
        {
            var key = (int)Number();
            var value = (key & 7) switch
            {
                0 => BitConverter.GetBytes(Number()),
                1 => Take(8),
                2 => Take((int)Number()),
                5 => Take(4),
                var wire => throw new InvalidDataException($"wire type {wire}"),
            };
            fields[key >> 3] = value;
        }
        return fields;

        byte[] Take(int count) => message[at..(at += count)];
    }
}
