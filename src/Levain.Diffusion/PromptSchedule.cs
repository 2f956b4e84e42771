using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>A prompt that is in force up to a step.</summary>
/// <param name="EndStep">Last step, counted from 1; the webui compares it with calls counted from 0.</param>
/// <param name="Text">The prompt, weights in it untouched.</param>
public readonly record struct ScheduledText(int EndStep, string Text);

/// <summary>
/// Prompts that change while a picture is drawn: <c>[from:to:when]</c>, <c>[to:when]</c>, <c>[from::when]</c> and the alternation
/// <c>[a|b|c]</c>, nested as one likes. "When" with a point is a share of the steps, else a step. A bracket that fits no rule is text.
/// </summary>
/// <remarks>AUTOMATIC1111's webui, <c>prompt_parser.get_learned_conditioning_prompt_schedules</c>.</remarks>
public static partial class PromptSchedule
{
    /// <summary>The texts of a prompt in the order in which they are in force; the last one's step is the last step.</summary>
    /// <param name="prompt">A prompt, or a part of one.</param>
    /// <param name="steps">Calls of the model in the first pass.</param>
    /// <param name="hiresSteps">Calls in the second pass (hires fix), for which the texts are asked; null for the first pass.</param>
    /// <param name="oldTimelines">Reads "when" as webui versions before 1.6 did: below 1 a share, and the first pass's steps in both passes.</param>
    public static IReadOnlyList<ScheduledText> Of(string prompt, int steps, int? hiresSteps = null, bool oldTimelines = false)
    {
        var timeline = hiresSteps is { } second && !oldTimelines ? new Timeline(second, steps, 1, false) : new Timeline(steps, 0, 0, oldTimelines);
        if (new Reader(prompt).ReadAll() is not { } parts) return [new(timeline.Steps, prompt)];

        var ends = new SortedSet<int> { timeline.Steps };
        foreach (var part in parts) part.AddEnds(timeline, ends);
        return [.. ends.Select(end => new ScheduledText(end, Join(parts, timeline, end)))];
    }

    /// <summary>Which entry of a schedule is in force at a call of the model.</summary>
    /// <param name="endSteps">Last steps of the entries.</param>
    /// <param name="call">The call, from 0. The webui compares it with steps counted from 1, so every entry but the first lasts one call longer than it says.</param>
    public static int InForce(IEnumerable<int> endSteps, int call)
    {
        var index = 0;
        foreach (var end in endSteps)
        {
            if (call <= end) return index;
            index++;
        }
        return 0;                                               // the webui falls back to the first, not the last
    }

    private static string Join(IEnumerable<Part> parts, Timeline timeline, int step) =>
        parts.Aggregate(new StringBuilder(), (text, part) => part.Write(text, timeline, step)).ToString();

    /// <summary>What "when" means in this pass.</summary>
    private sealed record Timeline(int Steps, int StepsBefore, int PassesBefore, bool Old)
    {
        public int StepOf(string when)
        {
            var number = double.Parse(when, NumberStyles.Float, CultureInfo.InvariantCulture);
            var step = Old ? number < 1 ? number * Steps : number
                : when.Contains('.') ? (number - PassesBefore) * Steps
                : number - StepsBefore;
            return (int)Math.Clamp(Math.Truncate(step), int.MinValue, Steps);
        }
    }

    private abstract record Part
    {
        public abstract void AddEnds(Timeline timeline, SortedSet<int> ends);

        public abstract StringBuilder Write(StringBuilder text, Timeline timeline, int step);
    }

    private sealed record Plain(string Text) : Part
    {
        public override void AddEnds(Timeline timeline, SortedSet<int> ends) { }

        public override StringBuilder Write(StringBuilder text, Timeline timeline, int step) => text.Append(Text);
    }

    private sealed record Group(IReadOnlyList<Part> Parts) : Part
    {
        public override void AddEnds(Timeline timeline, SortedSet<int> ends)
        {
            foreach (var part in Parts) part.AddEnds(timeline, ends);
        }

        public override StringBuilder Write(StringBuilder text, Timeline timeline, int step) =>
            Parts.Aggregate(text, (so, part) => part.Write(so, timeline, step));
    }

    private sealed record Change(Part From, Part To, string When) : Part
    {
        public override void AddEnds(Timeline timeline, SortedSet<int> ends)
        {
            if (timeline.StepOf(When) is >= 1 and var end) ends.Add(end);
            From.AddEnds(timeline, ends);
            To.AddEnds(timeline, ends);
        }

        public override StringBuilder Write(StringBuilder text, Timeline timeline, int step) =>
            (step <= timeline.StepOf(When) ? From : To).Write(text, timeline, step);
    }

    private sealed record Alternation(IReadOnlyList<Part> Choices) : Part
    {
        public override void AddEnds(Timeline timeline, SortedSet<int> ends)
        {
            for (var step = 1; step <= timeline.Steps; step++) ends.Add(step);
            foreach (var choice in Choices) choice.AddEnds(timeline, ends);
        }

        public override StringBuilder Write(StringBuilder text, Timeline timeline, int step) =>
            Choices[(step - 1) % Choices.Count].Write(text, timeline, step);
    }

    /// <summary>Reads the grammar by descent; a bracket that cannot be read to its end is one character of text.</summary>
    private sealed partial class Reader(string prompt)
    {
        private readonly Dictionary<int, (Part? Part, int End)> known = [];
        private int at;

        /// <summary>All parts, or null where the prompt cannot be read (a bar outside brackets): then it is text as a whole.</summary>
        public IReadOnlyList<Part>? ReadAll()
        {
            var parts = new List<Part>();
            while (at < prompt.Length)
            {
                if (Item() is { } part) parts.Add(part);
                else if (prompt[at] is '[' or ']' or '(' or ')' or ':') parts.Add(new Plain(prompt[at++].ToString()));
                else return null;
            }
            return parts;
        }

        private Group Sequence()
        {
            var parts = new List<Part>();
            while (at < prompt.Length && Item() is { } part) parts.Add(part);
            return new(parts);
        }

        /// <summary>Text or a whole bracket; null, and nothing read, at anything else.</summary>
        private Part? Item()
        {
            if (prompt[at] is not ('(' or '[')) return Text();
            if (!known.TryGetValue(at, out var bracket))
            {
                var start = at;
                bracket = (prompt[at] == '(' ? Round() : Square(), at);
                known[start] = bracket;                                // brackets are tried from every level around them
                at = start;
            }
            if (bracket.Part is not null) at = bracket.End;
            return bracket.Part;
        }

        private Plain? Text()
        {
            var start = at;
            while (at < prompt.Length && prompt[at] is not ('[' or ']' or '(' or ')' or ':' or '|'))
            {
                if (prompt[at] != '\\') at++;
                else if (at + 1 < prompt.Length && prompt[at + 1] != '\n') at += 2;
                else break;
            }
            return at > start ? new(prompt[start..at]) : null;
        }

        // "(" prompt [":" prompt] ")"
        private Group? Round()
        {
            at++;
            var parts = new List<Part> { new Plain("("), Sequence() };
            if (Take(':')) parts.AddRange([new Plain(":"), Sequence()]);
            if (!Take(')')) return null;
            parts.Add(new Plain(")"));
            return new(parts);
        }

        // "[" prompt "]", "[" prompt ("|" prompt)+ "]", "[" [prompt ":"] prompt ":" number "]"
        private Part? Square()
        {
            at++;
            var first = Sequence();
            if (Take(']')) return new Group([new Plain("["), first, new Plain("]")]);
            if (Take(':'))
            {
                if (When() is { } when) return new Change(new Plain(""), first, when);
                var second = Sequence();
                return Take(':') && When() is { } later ? new Change(first, second, later) : null;
            }
            var choices = new List<Part> { first };
            while (Take('|')) choices.Add(Sequence());
            return choices.Count > 1 && Take(']') ? new Alternation(choices) : null;
        }

        /// <summary>A number and the closing bracket.</summary>
        private string? When()
        {
            var match = Number().Match(prompt, at);
            if (!match.Success) return null;
            at += match.Length;
            return match.Groups["number"].Value;
        }

        private bool Take(char sign)
        {
            if (at >= prompt.Length || prompt[at] != sign) return false;
            at++;
            return true;
        }

        [GeneratedRegex(@"\G\s*(?<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*\]")]
        private static partial Regex Number();
    }
}
