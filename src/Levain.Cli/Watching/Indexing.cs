using Levain.Data;

namespace Levain.Cli.Watching;

/// <summary>Says how far indexing is, where it takes long enough to be wondered about.</summary>
internal sealed class Indexing(Screen screen) : IProgress<DataProgress>
{
    private const int Every = 1000;

    public void Report(DataProgress value)
    {
        if (value.Done % Every == 0 && value.Done > 0) screen.Note($"{value.Phase}: {value.Done} of {value.Total}");
    }
}
