namespace Levain.Training.Settings;

/// <summary>What a run makes.</summary>
public enum Trains
{
    /// <summary>A network on the base: a LoRA or its like (<c>[network]</c>).</summary>
    Network,

    /// <summary>The base itself: DreamBooth, fine-tuning (<c>[finetune]</c>).</summary>
    Model,

    /// <summary>A word: textual inversion (<c>[embedding]</c>).</summary>
    Embedding,

    /// <summary>A hypernetwork as the webui knows it (<c>[hypernetwork]</c>).</summary>
    Hypernetwork,
}

/// <summary>How a run's result is written.</summary>
public enum ResultFormat
{
    /// <summary>As fits what is trained: safetensors, and <c>pt</c> for hypernetworks.</summary>
    Auto,

    /// <summary><c>.safetensors</c>.</summary>
    Safetensors,

    /// <summary><c>.ckpt</c>, a pickle.</summary>
    Ckpt,

    /// <summary><c>.pt</c>, a pickle: networks as kohya writes them, words and hypernetworks as the webui writes them, words as kohya does with its switch.</summary>
    Pt,

    /// <summary><c>.bin</c>, a pickle: a word as diffusers writes it.</summary>
    Bin,

    /// <summary>A folder in diffusers' layout, with safetensors.</summary>
    Diffusers,

    /// <summary>A folder in diffusers' layout, with pickles.</summary>
    DiffusersBin,
}
