using Levain.Core;
using Levain.Training.Kohya;
using Xunit;

namespace Levain.Tests.Training.Kohya;

public sealed class KohyaCallTests
{
    [Theory]
    [InlineData("train_network --seed 3", "train_network.py", "")]
    [InlineData("train_db.py --seed 3", "train_db.py", "")]
    [InlineData("./sd-scripts/fine_tune.py --seed 3", "fine_tune.py", "")]
    [InlineData("python train_textual_inversion.py --seed 3", "train_textual_inversion.py", "python")]
    [InlineData("accelerate launch --num_cpu_threads_per_process 8 C:\\kohya\\train_network.py --seed 3", "train_network.py", "accelerate launch --num_cpu_threads_per_process 8")]
    [InlineData("accelerate launch sdxl_train.py --seed 3", "sdxl_train.py", "accelerate launch")]
    public void A_call_is_a_launcher_a_trainer_and_its_words(string words, string trainer, string launcher)
    {
        var call = KohyaCall.Read(words.Split(' '));
        Assert.Equal((trainer, launcher), (call.Trainer, string.Join(' ', call.Launcher)));
        Assert.Equal(["--seed", "3"], call.Arguments);
    }

    [Theory]
    [InlineData("", "TRAINER: is not named. Name one of train_network, train_db, fine_tune, train_textual_inversion, then its options as for kohya.")]
    [InlineData("accelerate launch", "TRAINER: is not named. Name one of train_network, train_db, fine_tune, train_textual_inversion, then its options as for kohya.")]
    [InlineData("--seed 3", "--seed: stands where the trainer's name belongs. Begin with one of train_network, train_db, fine_tune, train_textual_inversion.")]
    public void A_call_without_a_trainer_is_told_the_names(string words, string message) =>
        Assert.Equal(message, Assert.Throws<SettingsException>(() => KohyaCall.Read(words.Split(' ', StringSplitOptions.RemoveEmptyEntries))).Message);

    [Fact]
    public void An_option_of_another_trainer_is_told_whose_it_is()
    {
        var (_, problems) = KohyaArguments.Read(["--learning_rate_te", "1e-5"]);
        Assert.Contains("--learning_rate_te: is not an option of train_network.py. Leave it out: it is one of train_db.py, fine_tune.py.", problems.All.Select(problem => problem.ToString()));
    }

    [Fact]
    public void Options_without_an_effect_are_told()
    {
        var notes = new List<string>();
        KohyaArguments.Read(["--xformers", "--lowram"], notes: notes);
        Assert.Equal(["--xformers changes nothing here: attention is always computed in the frugal way.", "--lowram changes nothing here: weights are loaded straight to where they are used."], notes);
    }
}
