using Levain.Core;
using Levain.Training.Kohya;
using Levain.Training.Settings;

namespace Levain.Tests.Training.Kohya;

/// <summary>A command line of train_network.py that holds what every run needs, and what a test adds.</summary>
internal static class ShortLine
{
    /// <summary>The settings it means, checked.</summary>
    /// <param name="words">More of its words, a blank between two.</param>
    public static (RunSettings Settings, Problems Problems) Read(string words)
    {
        var (settings, problems) = KohyaArguments.Read(["--pretrained_model_name_or_path", "m.safetensors", "--train_data_dir", "d", "--resolution", "512", "--network_module", "networks.lora",
            "--max_data_loader_n_workers", "0", "--max_train_steps", "100", .. words.Split(' ')]);
        settings.Check(problems);
        return (settings, problems);
    }
}
