using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[network.tlora]</c> table: how ranks of the family <c>tlora</c> follow the noise (https://arxiv.org/abs/2507.05964).</summary>
public sealed record TloraSettings
{
    /// <summary>Ranks that stay at the noisiest timestep; 1 to the rank. Default 1, the paper's.</summary>
    public int MinRank { get; init; } = 1;

    /// <summary>Power of the share of the schedule that is left; above 0. Default 1: ranks fall evenly; larger numbers cut harder at high noise.</summary>
    public double Power { get; init; } = 1;

    /// <summary>The table's keys.</summary>
    public static TloraSettings Map(TloraSettings tlora, TomlMap map) => tlora with
    {
        MinRank = map.Whole("min_rank", tlora.MinRank),
        Power = map.Number("power", tlora.Power),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems, int rank)
    {
        problems.Require(MinRank >= 1 && MinRank <= rank, "min_rank", $"is {MinRank}, with a rank of {rank}.", "Use 1 to network.rank.");
        problems.Require(Power is > 0 and < double.PositiveInfinity, "power", $"is {Power}.", "Use a positive number; 1 is the paper's.");
    }
}
