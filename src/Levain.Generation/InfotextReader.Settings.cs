using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

// Settings written by hand, in the words of infotexts.
public static partial class InfotextReader
{
    private static readonly string[] WithOptions = ["Seed", "Sampler", "Denoising strength"];

    /// <summary>Fields that <see cref="Settings"/> takes.</summary>
    public static IReadOnlyList<string> SettingNames { get; } =
    [
        "Schedule type", "Emphasis", "Eta", "Sigma churn", "Sigma tmin", "Sigma tmax", "Sigma noise", "Schedule min sigma", "Schedule max sigma", "Schedule rho", "Beta schedule alpha", "Beta schedule beta",
        "SGM noise multiplier", "Discard penultimate sigma", "NGMS", "NGMS all steps", "Skip Early CFG", "Pad conds", "Pad conds v0", "CFG Rescale phi", "Old prompt editing timelines", "ENSD", "RNG", "Hires CFG Scale", "Hires prompt", "Hires negative prompt",
    ];

    /// <summary>A request with settings changed, written as in an infotext's last line: <c>Emphasis: No norm, Schedule rho: 5</c>.</summary>
    /// <param name="text">The settings.</param>
    /// <param name="request">What they change.</param>
    /// <param name="problems">Told of what is no setting, or has a value that is not understood.</param>
    public static GenerationRequest Settings(string text, GenerationRequest request, Problems problems)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (Match match in Field().Matches(text)) fields[match.Groups["key"].Value] = Unquoted(match.Groups["value"].Value);
        if (fields.Count == 0) problems.Add("--settings", $"is '{text}'.", "Write names and values: \"Emphasis: No norm, Schedule rho: 5\".");
        foreach (var key in fields.Keys.Where(key => Passed.Contains(key) || WithOptions.Contains(key)).ToList())
        {
            problems.Add("--settings", $"holds '{key}'.", "It has options of its own, or is told by files.");
            fields.Remove(key);
        }
        foreach (var key in fields.Keys.Where(key => request.Hires is null && IsOfSecondPass(key)).ToList())
        {
            problems.Add("--settings", $"holds '{key}', and there is no second pass.", "Ask for one: --hires 2.");
            fields.Remove(key);
        }
        var notes = new List<string>();
        var changed = Apply(request, fields, notes);
        foreach (var note in notes) problems.Add("--settings", $"holds something else than a setting: {note}", Nearest.Advice(fields.Keys.FirstOrDefault(key => note.Contains(key, StringComparison.OrdinalIgnoreCase)) ?? note, SettingNames));
        return changed;
    }

    /// <summary>A schedule without a sampler goes with whatever sampler is used.</summary>
    private static GenerationRequest WithSchedule(GenerationRequest request, string? name, List<string> notes)
    {
        if (name is null or WebuiNames.Automatic) return request;
        if (SigmaSchedules.All.FirstOrDefault(schedule => schedule.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is { } known) return request with { ScheduleOptions = request.ScheduleOptions with { Schedule = known } };
        notes.Add($"'Schedule type: {name}' is not understood and was left out.");
        return request;
    }
}
