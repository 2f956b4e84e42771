namespace Levain.Training.Kohya;

/// <summary>kohya's trainers for SD 1.x; several together say who has an option.</summary>
[Flags]
public enum KohyaTrainers
{
    /// <summary>None of them.</summary>
    None = 0,

    /// <summary><c>train_network.py</c>: a LoRA or its like.</summary>
    Network = 1,

    /// <summary><c>train_db.py</c>: the whole model, from folders of pictures.</summary>
    DreamBooth = 2,

    /// <summary><c>fine_tune.py</c>: the whole model, from a metadata file.</summary>
    FineTune = 4,

    /// <summary><c>train_textual_inversion.py</c>: words of one's own.</summary>
    TextualInversion = 8,

    /// <summary>All of them.</summary>
    All = Network | DreamBooth | FineTune | TextualInversion,
}

/// <summary>The file names of kohya's trainers.</summary>
public static class KohyaTrainerNames
{
    /// <summary>Each trainer's program.</summary>
    public static IReadOnlyDictionary<KohyaTrainers, string> All { get; } = new Dictionary<KohyaTrainers, string>
    {
        [KohyaTrainers.Network] = "train_network.py",
        [KohyaTrainers.DreamBooth] = "train_db.py",
        [KohyaTrainers.FineTune] = "fine_tune.py",
        [KohyaTrainers.TextualInversion] = "train_textual_inversion.py",
    };

    /// <summary>The trainer that a word names: <c>train_db</c>, <c>train_db.py</c>, <c>sd-scripts/train_db.py</c>; none for another word.</summary>
    public static KohyaTrainers Find(string word)
    {
        var name = word[(word.LastIndexOfAny(['/', '\\']) + 1)..];
        return All.FirstOrDefault(pair => pair.Value == name || pair.Value == name + ".py").Key;
    }

    /// <summary>The file name of one trainer.</summary>
    public static string FileName(this KohyaTrainers trainer) => All[trainer];
}
