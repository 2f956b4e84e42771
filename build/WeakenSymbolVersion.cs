using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Makes a shared library load where one symbol version it asks for, but never needs, does not exist: sets VER_FLG_WEAK on
/// that version in <c>.gnu.version_r</c> and STB_WEAK on the one symbol in <c>.dynsym</c> (ELF64, little endian).
/// Doing it twice changes nothing. The file is replaced, never edited in place: it may be a hard link into the package cache.
/// </summary>
public sealed class WeakenSymbolVersion : Task
{
    private const int SectionHeaderSize = 64, SymbolSize = 24;
    private const uint DynSym = 11, GnuVerNeed = 0x6ffffffe;
    private const ushort VerFlagWeak = 2;
    private const byte BindWeak = 2;

    [Required] public string File { get; set; }
    [Required] public string SymbolVersion { get; set; }
    [Required] public string Symbol { get; set; }

    public override bool Execute()
    {
        var image = System.IO.File.ReadAllBytes(File);
        if (image.Length < 64 || image[0] != 0x7f || image[1] != 'E' || image[4] != 2 || image[5] != 1)
        {
            Log.LogError("{0}: is not a 64-bit little-endian ELF library.", File);
            return false;
        }
        var changed = false;
        var sections = (int)BitConverter.ToUInt64(image, 0x28);
        int count = BitConverter.ToUInt16(image, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var header = sections + i * SectionHeaderSize;
            var type = BitConverter.ToUInt32(image, header + 4);
            var offset = (int)BitConverter.ToUInt64(image, header + 24);
            var size = (int)BitConverter.ToUInt64(image, header + 32);
            var link = sections + (int)BitConverter.ToUInt32(image, header + 40) * SectionHeaderSize;
            var strings = (int)BitConverter.ToUInt64(image, link + 24);
            if (type == GnuVerNeed) changed |= WeakenVersion(image, offset, strings);
            if (type == DynSym) changed |= WeakenSymbol(image, offset, size, strings);
        }
        if (!changed) return true;

        var written = System.IO.File.GetLastWriteTimeUtc(File);
        var temporary = File + ".weak";
        System.IO.File.WriteAllBytes(temporary, image);
        System.IO.File.SetLastWriteTimeUtc(temporary, written); // so that the next build's copy still counts as unchanged
        System.IO.File.Delete(File);
        System.IO.File.Move(temporary, File);
        Log.LogMessage(MessageImportance.Normal, "{0}: {1} is now optional.", File, SymbolVersion);
        return true;
    }

    private bool WeakenVersion(byte[] image, int need, int strings)
    {
        var changed = false;
        while (true)
        {
            var aux = need + (int)BitConverter.ToUInt32(image, need + 8);
            for (int n = BitConverter.ToUInt16(image, need + 2); n > 0; n--)
            {
                var flags = BitConverter.ToUInt16(image, aux + 4);
                if (TextAt(image, strings + (int)BitConverter.ToUInt32(image, aux + 8)) == SymbolVersion && (flags & VerFlagWeak) == 0)
                {
                    image[aux + 4] |= (byte)VerFlagWeak;
                    changed = true;
                }
                aux += (int)BitConverter.ToUInt32(image, aux + 12);
            }
            var next = (int)BitConverter.ToUInt32(image, need + 12);
            if (next == 0) return changed;
            need += next;
        }
    }

    private bool WeakenSymbol(byte[] image, int offset, int size, int strings)
    {
        for (var at = offset; at < offset + size; at += SymbolSize)
        {
            if (TextAt(image, strings + (int)BitConverter.ToUInt32(image, at)) != Symbol || image[at + 4] >> 4 == BindWeak) continue;
            image[at + 4] = (byte)(BindWeak << 4 | image[at + 4] & 0xf);
            return true;
        }
        return false;
    }

    private static string TextAt(byte[] image, int at)
    {
        var end = Array.IndexOf(image, (byte)0, at);
        return Encoding.ASCII.GetString(image, at, end - at);
    }
}
