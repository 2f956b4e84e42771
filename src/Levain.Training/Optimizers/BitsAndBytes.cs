namespace Levain.Training;

/// <summary>Classes of bitsandbytes that kohya finds by their path: rules of other files with other beginnings.</summary>
public static partial class Optimizers
{
    private const string AdamSummary = "bitsandbytes' AdamW without a decay of its own", LionSummary = "Lion as bitsandbytes computes it", SgdSummary = "Gradient descent as bitsandbytes computes it, whose momentum must be given";

    private static Uri LionPaper => new("https://arxiv.org/abs/2302.06675");

    /// <summary>As <see cref="PagedAdamW"/>.</summary>
    public static Optimizer BnbAdamW { get; } = OfBnb("AdamW", "adamw", "PagedAdamW without paging", EightBitPaper, new AdamW8bitOptions { StateBits = AdamW8bitOptions.Full, BitsChosen = true, MayBePaged = true });

    /// <summary>As <see cref="PagedAdamW32bit"/>.</summary>
    public static Optimizer BnbAdamW32bit { get; } = OfBnb("AdamW32bit", "adamw", "PagedAdamW32bit without paging", EightBitPaper, new AdamW8bitOptions { StateBits = AdamW8bitOptions.Full, MayBePaged = true });

    /// <summary>As <see cref="BnbAdamW"/>, with no decay unless asked for.</summary>
    public static Optimizer BnbAdam { get; } = OfBnb("Adam", "adam", AdamSummary, EightBitPaper, Adam32 with { BitsChosen = true });

    /// <summary>As <see cref="AdamW8bit"/>, with no decay unless asked for.</summary>
    public static Optimizer BnbAdam8bit { get; } = OfBnb("Adam8bit", "adam", AdamSummary + ", moments of 8 bits", EightBitPaper, Adam32 with { StateBits = AdamW8bitOptions.Eight });

    /// <summary>As <see cref="BnbAdam"/>, always of 32 bits.</summary>
    public static Optimizer BnbAdam32bit { get; } = OfBnb("Adam32bit", "adam", AdamSummary, EightBitPaper, Adam32);

    /// <summary>As <see cref="BnbAdam"/>.</summary>
    public static Optimizer BnbPagedAdam { get; } = OfBnb("PagedAdam", "adam", AdamSummary + "; networks are too small to be paged", EightBitPaper, Adam32 with { BitsChosen = true });

    /// <summary>As <see cref="BnbAdam8bit"/>.</summary>
    public static Optimizer BnbPagedAdam8bit { get; } = OfBnb("PagedAdam8bit", "adam", AdamSummary + ", moments of 8 bits; networks are too small to be paged", EightBitPaper, Adam32 with { StateBits = AdamW8bitOptions.Eight });

    /// <summary>As <see cref="BnbAdam32bit"/>.</summary>
    public static Optimizer BnbPagedAdam32bit { get; } = OfBnb("PagedAdam32bit", "adam", AdamSummary + "; networks are too small to be paged", EightBitPaper, Adam32);

    /// <summary>Lion, of 32 bits or 8.</summary>
    public static Optimizer BnbLion { get; } = OfBnb("Lion", "lion", LionSummary, LionPaper, new Lion8bitOptions { StateBits = Lion8bitOptions.Full, BitsChosen = true, MayBePaged = true });

    /// <summary>Lion of 32 bits.</summary>
    public static Optimizer BnbLion32bit { get; } = OfBnb("Lion32bit", "lion", LionSummary, LionPaper, new Lion8bitOptions { StateBits = Lion8bitOptions.Full, MayBePaged = true });

    /// <summary>As <see cref="BnbLion"/>.</summary>
    public static Optimizer BnbPagedLion { get; } = OfBnb("PagedLion", "lion", LionSummary + "; networks are too small to be paged", LionPaper, new Lion8bitOptions { StateBits = Lion8bitOptions.Full, BitsChosen = true });

    /// <summary>As <see cref="BnbLion32bit"/>.</summary>
    public static Optimizer BnbPagedLion32bit { get; } = OfBnb("PagedLion32bit", "lion", LionSummary + "; networks are too small to be paged", LionPaper, new Lion8bitOptions { StateBits = Lion8bitOptions.Full });

    /// <summary>Gradient descent, of 32 bits or 8.</summary>
    public static Optimizer BnbSgd { get; } = OfBnb("SGD", "sgd", SgdSummary, EightBitPaper, new Sgd8bitOptions { Momentum = 0, NesterovTold = true, StateBits = Sgd8bitOptions.Full, BitsChosen = true });

    /// <summary>Gradient descent of 32 bits.</summary>
    public static Optimizer BnbSgd32bit { get; } = OfBnb("SGD32bit", "sgd", SgdSummary, EightBitPaper, new Sgd8bitOptions { Momentum = 0, NesterovTold = true, StateBits = Sgd8bitOptions.Full });

    private static AdamW8bitOptions Adam32 => new() { WeightDecay = 0, StateBits = AdamW8bitOptions.Full, MayBePaged = true };

    private static Optimizer OfBnb(string name, string module, string summary, Uri source, OptimizerOptions defaults) => new($"bitsandbytes.optim.{name}", summary, source, defaults)
    {
        Class = $"bitsandbytes.optim.{module}.{name}",
        CaseMatters = true,
    };
}
