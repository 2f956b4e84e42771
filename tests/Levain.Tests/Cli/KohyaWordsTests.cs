using Levain.Cli.Commands;
using Xunit;

namespace Levain.Tests.Cli;

public sealed class KohyaWordsTests
{
    [Theory]
    [InlineData("kohya train_db --seed 3", "kohya -- train_db --seed 3")]
    [InlineData("--json kohya train_network --network_args a=1 --device cpu -1", "--json kohya --device cpu -- train_network --network_args a=1 -1")]
    [InlineData("kohya accelerate launch --mixed_precision fp16 train_network.py --write-run-file r.toml --resume s", "kohya --write-run-file r.toml -- accelerate launch --mixed_precision fp16 train_network.py --resume s")]
    [InlineData("kohya --help", "kohya --help")]
    [InlineData("train run.toml --set kohya=1", "train run.toml --set kohya=1")]
    public void Words_of_kohyas_are_kept_from_the_parser(string given, string parsed) => Assert.Equal(parsed, string.Join(' ', KohyaCommand.Protect(given.Split(' '))));
}
