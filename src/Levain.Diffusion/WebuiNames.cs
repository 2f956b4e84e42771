namespace Levain.Diffusion;

/// <summary>Samplers and schedules in the webui's order and by its rules for names, mistakes included: what its API and old infotexts mean. For a user's own words see <see cref="SamplerChoice"/>.</summary>
/// <remarks>AUTOMATIC1111's webui 1.10.1, <c>sd_samplers.get_sampler_and_scheduler</c>.</remarks>
public static class WebuiNames
{
    /// <summary>What stands for a sampler's own schedule.</summary>
    public const string Automatic = "Automatic";

    /// <summary>The webui's samplers, its default first.</summary>
    public static IReadOnlyList<Sampler> SamplersInOrder =>
    [
        Samplers.DpmPp2M, Samplers.DpmPpSde, Samplers.DpmPp2MSde, Samplers.DpmPp2MSdeHeun, Samplers.DpmPp2SAncestral, Samplers.DpmPp3MSde,
        Samplers.EulerAncestral, Samplers.Euler, Samplers.Lms, Samplers.Heun, Samplers.Dpm2, Samplers.Dpm2Ancestral, Samplers.DpmFast,
        Samplers.DpmAdaptive, Samplers.Restart, Samplers.Ddim, Samplers.DdimCfgPp, Samplers.Plms, Samplers.UniPc, Samplers.Lcm,
    ];

    /// <summary>The webui's schedules after "Automatic".</summary>
    public static IReadOnlyList<SigmaSchedule> SchedulesInOrder =>
    [
        SigmaSchedules.Uniform, SigmaSchedules.Karras, SigmaSchedules.Exponential, SigmaSchedules.Polyexponential, SigmaSchedules.SgmUniform,
        SigmaSchedules.KlOptimal, SigmaSchedules.AlignYourSteps, SigmaSchedules.Simple, SigmaSchedules.Normal, SigmaSchedules.DdimUniform, SigmaSchedules.Beta,
    ];

    /// <summary>The schedule's name in the webui's settings, <c>sgm_uniform</c>.</summary>
    public static string IdOf(SigmaSchedule schedule) => schedule.Name.ToLowerInvariant().Replace(' ', '_');

    /// <summary>What the webui makes of two names. Unknown ones stand for its defaults, and case matters.</summary>
    /// <param name="sampler">A sampler's name, perhaps with a schedule's behind it; null or empty for the default.</param>
    /// <param name="schedule">A schedule's label or name; null for none.</param>
    /// <param name="keepOwn">Keeps a schedule's name where it is the sampler's own, instead of "Automatic".</param>
    /// <returns>The sampler, and the schedule's label.</returns>
    public static (Sampler Sampler, string Schedule) Read(string? sampler, string? schedule, bool keepOwn = false)
    {
        var found = SchedulesInOrder.FirstOrDefault(known => known.Name == schedule || IdOf(known) == schedule);
        var name = string.IsNullOrEmpty(sampler) ? SamplersInOrder[0].Name : sampler;
        // One schedule after another, each from the end of what is left: "SGM Uniform" loses "Uniform" first.
        foreach (var known in SchedulesInOrder.Prepend(null))
        {
            string[] endings = known is null ? [Automatic, "automatic"] : known == SigmaSchedules.SgmUniform ? [known.Name, IdOf(known), "SGMUniform"] : [known.Name, IdOf(known)];
            if (endings.FirstOrDefault(ending => name.EndsWith($" {ending}", StringComparison.Ordinal)) is not { } cut) continue;
            (found, name) = (known, name[..^(cut.Length + 1)]);
        }
        var chosen = SamplersInOrder.FirstOrDefault(known => known.Name == name) ?? SamplersInOrder[0];
        // Uniform is what a sampler without a schedule of its own walks, but the webui does not call it that sampler's own.
        var isOwn = found is not null && found == chosen.Schedule && found != SigmaSchedules.Uniform;
        return (chosen, found is null || isOwn && !keepOwn ? Automatic : found.Name);
    }
}
