using Levain.Core;

namespace Levain.Training;

/// <summary>Schedules of <c>torch.optim.lr_scheduler</c>, which kohya takes as <c>--lr_scheduler_type</c>.</summary>
[Catalog]
public static partial class TorchSchedules
{
    /// <summary>All of them, in name order.</summary>
    public static partial IReadOnlyList<TorchSchedule> All { get; }

    /// <summary>The schedule of that class, with or without its module; null where there is none.</summary>
    public static TorchSchedule? Named(string name) => All.FirstOrDefault(schedule => name == schedule.Name || name == "torch.optim.lr_scheduler." + schedule.Name);
}

/// <summary>A schedule of <c>torch.optim.lr_scheduler</c>.</summary>
/// <param name="Name">Its class.</param>
/// <param name="Summary">What it does, in one line.</param>
/// <param name="Defaults">Its options; a record of its own kind.</param>
public sealed record TorchSchedule(string Name, string Summary, TorchScheduleOptions Defaults);

/// <summary>Options of a torch schedule, and the rates that follow from them. Keys are torch's own.</summary>
public abstract record TorchScheduleOptions
{
    /// <summary>The record's keys, for reading, writing and documentation.</summary>
    public abstract TorchScheduleOptions Map(TomlMap map);

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public abstract void Check(Problems problems);

    /// <summary>The rate of a step counted from 0.</summary>
    /// <param name="step">The step.</param>
    /// <param name="initial">The group's learning rate.</param>
    public abstract double Rate(int step, double initial);

    /// <summary>The optimizer's momentum at a step, where the schedule moves it too; else null.</summary>
    public virtual double? Momentum(int step) => null;

    /// <summary>Steps that it has been made for; null where there may be any number.</summary>
    public virtual int? Steps => null;
}
