using Levain.Cli;
using Levain.Core;
using Xunit;

namespace Levain.Tests.Cli;

public sealed class FailureTests
{
    [Fact]
    public void Settings_problems_are_all_told_and_exit_with_2()
    {
        var problems = new Problems();
        problems.Add("rank", "is 0.", "Use 1 to 1024.");
        problems.Add("alpha", "is -1.", "Use a positive number.");
        var (code, messages) = CommandAction.Explain(Assert.Throws<SettingsException>(problems.ThrowIfAny))!.Value;
        Assert.Equal(2, code);
        Assert.Equal(["rank: is 0. Use 1 to 1024.", "alpha: is -1. Use a positive number."], messages);
    }

    [Fact]
    public void A_full_disk_says_how_to_go_on()
    {
        var (code, messages) = CommandAction.Explain(new IOException("No space left on device : '/x'", 28))!.Value;
        Assert.Equal(1, code);
        Assert.Contains("--resume", Assert.Single(messages));
    }

    [Fact]
    public void An_engine_that_cannot_load_is_a_message()
    {
        var failure = new TypeInitializationException("TorchSharp.torch", new DllNotFoundException("LibTorchSharp\nlong story"));
        var (code, messages) = CommandAction.Explain(failure)!.Value;
        Assert.Equal(1, code);
        Assert.Equal("A native library cannot be loaded: LibTorchSharp. Run 'levain doctor', which says which one and what to do.", Assert.Single(messages));
    }

    [Fact]
    public void A_bug_keeps_its_stack() => Assert.Null(CommandAction.Explain(new InvalidOperationException("bug")));
}
