using Levain.Core;

namespace Levain.Diffusion;

/// <summary>A sampler and its schedule as a user names them: <c>Euler a</c>, <c>DPM++ 2M Karras</c>, <c>dpmpp_2m_karras</c>, <c>k_euler_a</c>.</summary>
/// <param name="Sampler">The sampler.</param>
/// <param name="Schedule">The schedule the name ends with; null for the sampler's own.</param>
public sealed record SamplerChoice(Sampler Sampler, SigmaSchedule? Schedule)
{
    /// <summary>Understands <paramref name="text"/> whatever its case, spaces and underscores.</summary>
    /// <exception cref="SettingsException">No sampler is called so.</exception>
    public static SamplerChoice Parse(string text)
    {
        var wanted = Plain(text);
        if (Find(wanted) is { } sampler) return new(sampler, null);
        foreach (var schedule in SigmaSchedules.All.OrderByDescending(schedule => schedule.Name.Length))
        {
            var ending = Plain(schedule.Name);
            if (wanted.EndsWith(ending, StringComparison.Ordinal) && Find(wanted[..^ending.Length]) is { } named) return new(named, schedule);
        }
        var names = Samplers.All.Select(known => known.Name).ToList();
        throw new SettingsException([new("sampler", $"is '{text}'.", Nearest.Advice(text, names))]);
    }

    /// <summary>Adds a problem where no sampler is called <paramref name="text"/>.</summary>
    /// <param name="where">The setting that names it.</param>
    public static void Check(string text, string where, Problems problems)
    {
        try
        {
            Parse(text);
        }
        catch (SettingsException unknown)
        {
            foreach (var problem in unknown.Problems) problems.Add(where, problem.What, problem.Fix);
        }
    }

    /// <summary>The name as the webui's infotext of old had it: <c>DPM++ 2M Karras</c>.</summary>
    public override string ToString() => Schedule is null ? Sampler.Name : $"{Sampler.Name} {Schedule.Name}";

    private static Sampler? Find(string plain) =>
        Samplers.All.FirstOrDefault(sampler => Plain(sampler.Name) == plain || sampler.Aliases.Any(alias => Plain(alias) == plain || Plain(alias) == "k" + plain));

    private static string Plain(string name) => name.ToLowerInvariant().Replace("++", "pp").Replace(" ", "").Replace("_", "");
}
