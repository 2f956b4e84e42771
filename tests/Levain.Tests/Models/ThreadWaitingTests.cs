using Levain.Models;
using Xunit;

namespace Levain.Tests.Models;

public sealed class ThreadWaitingTests
{
    [Theory]
    [InlineData(100, 2, false)]      // nobody
    [InlineData(95, 2, false)]       // a little of one
    [InlineData(50, 2, true)]        // one of two
    [InlineData(10, 2, true)]
    [InlineData(90, 8, true)]        // most of one of eight
    [InlineData(97, 8, false)]
    [InlineData(0, 1, true)]
    public void One_processor_that_others_take_makes_a_machine_busy(long idle, int processors, bool busy) =>
        Assert.Equal(busy, ThreadWaiting.IsTaken(idle, 100, processors));
}
