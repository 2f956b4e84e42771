using Levain.Training;
using Xunit;

namespace Levain.Tests.Training;

public sealed class DiagnosisTests
{
    [Fact]
    public void What_is_wrong_is_told_once()
    {
        var told = new List<string>();
        var diagnosis = new Diagnosis(plainSquares: true, told.Add);
        for (var step = 1; step <= 300; step++)
        {
            diagnosis.Loss(1, step, ["cat"]);
            diagnosis.Gradient(0, step);
        }
        Assert.Equal(["the gradient has been exactly 0", "the loss has been 1 for 200"], told.Select(line => string.Join(' ', line.Split(' ').Take(line.Contains("200", StringComparison.Ordinal) ? 7 : 6))));
        diagnosis.Loss(double.NaN, 301, ["cat"]);
        diagnosis.Gradient(double.NaN, 301);
        Assert.Contains("(pictures: cat)", Assert.Single(told.Skip(2)));
    }
}
