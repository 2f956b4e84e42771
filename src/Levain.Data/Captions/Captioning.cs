namespace Levain.Data;

/// <summary>What a picture's caption is taken from: the styles of training that guides tell apart.</summary>
public enum Captioning
{
    /// <summary>The caption file where there is one, else the class tokens, as kohya does.</summary>
    Auto,

    /// <summary>Every picture has a caption of its own; there are no regularization pictures. What the captions name can be called or left out afterwards.</summary>
    Finetune,

    /// <summary>Captions and regularization pictures of the same class, which keep the class as it was and take the style out of what is learnt.</summary>
    Dreambooth,

    /// <summary>Caption files are passed over: the words of the folder are every picture's caption, and call everything at once.</summary>
    Keyword,
}
