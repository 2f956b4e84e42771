using Levain.Core;
using Xunit;

namespace Levain.Tests.Core;

public sealed class CountedTests
{
    [Theory]
    [InlineData(0, "step", null, "0 steps")]
    [InlineData(1, "step", null, "1 step")]
    [InlineData(1600, "step", null, "1,600 steps")]
    [InlineData(1, "batch", "batches", "1 batch")]
    [InlineData(2, "batch", "batches", "2 batches")]
    public void One_is_one_and_all_else_are_several(long number, string one, string? more, string said) => Assert.Equal(said, Counted.Of(number, one, more));
}
