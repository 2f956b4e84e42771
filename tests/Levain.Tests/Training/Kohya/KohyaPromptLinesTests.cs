using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Training.Kohya;
using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>Lines of kohya's file of sample prompts, as its trainer reads them.</summary>
public sealed partial class KohyaPromptLinesTests(ITestOutputHelper output)
{
    private const int LeastSide = 64, Cell = 8;

    [Fact]
    public void Lines_are_read_as_kohya_reads_them_or_refused_by_name()
    {
        var (same, refused, sounder) = (0, 0, 0);
        foreach (var row in Golden.Json("sampling", "kohya_prompt_lines.json").GetProperty("cases").EnumerateArray())
        {
            var (line, expected, problems) = (row[0].GetString()!, row[1], new Problems());
            var read = KohyaPrompts.Read(line, "prompts.txt", problems);
            if (line.Length == 0)
            {
                Assert.Empty(read);                // an empty line is no prompt
                same++;
                continue;
            }
            var sample = Assert.Single(read);
            if (problems.Any)
            {
                // What is not understood is told with its words.
                Assert.All(problems.All, problem => Assert.Contains(Quoted().Match(problem.What).Groups[1].Value, line));
                refused++;
                continue;
            }
            Assert.Equal(Text("prompt"), sample.Prompt);
            if (BeginsLikeOne().IsMatch(line))
            {
                sounder++;                         // kohya takes words of the prompt for an option (docs/compat.md, K-27)
                continue;
            }
            Assert.Equal(Text("negative_prompt").Trim(), sample.Negative);
            if (Number("width") is { } width) Assert.Equal(Side(width), sample.Width);
            if (Number("height") is { } height) Assert.Equal(Side(height), sample.Height);
            if (Number("seed") is { } seed) Assert.Equal(seed, sample.Seed);
            if (Number("sample_steps") is { } steps) Assert.Equal(steps, sample.Steps);
            if (Number("scale") is { } scale) Assert.Equal(scale, sample.Guidance);
            same++;

            string Text(string key) => expected.TryGetProperty(key, out var value) ? value.GetString()! : "";

            double? Number(string key) => expected.TryGetProperty(key, out var value) ? value.GetDouble() : null;
        }
        output.WriteLine($"{same} the same, {refused} refused by name, {sounder} sounder than kohya");
        Assert.True(same > refused);

        static int Side(double pixels) => Math.Max(LeastSide, (int)pixels / Cell * Cell);      // as kohya draws them
    }

    [GeneratedRegex("\"(.+)\"")]
    private static partial Regex Quoted();

    [GeneratedRegex("^[nwhdsl] ")]
    private static partial Regex BeginsLikeOne();
}
