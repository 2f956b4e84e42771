using System.Text.RegularExpressions;
using ArchUnitNET.Domain.Dependencies;
using ArchUnitNET.Fluent.Conditions;
using ArchUnitNET.Loader;
using ArchUnitNET.xUnitV3;
using Xunit;
using static ArchUnitNET.Fluent.ArchRuleDefinition;
using Assembly = System.Reflection.Assembly;

namespace Levain.Tests.Architecture;

/// <summary>What each room may touch, one line a rule. The compiler keeps the direction of references between rooms.</summary>
public sealed class RoomTests
{
    private static readonly string[] Rooms = ["Core", "Formats", "Models", "Networks", "Diffusion", "Generation", "Data", "Training", "Guide"];

    private static readonly ArchUnitNET.Domain.Architecture House =
        new ArchLoader().LoadAssemblies([.. Rooms.Select(Room)]).Build();

    [Fact] public void Only_applications_print() => NoRoomTouches(@"System\.Console");
    [Fact] public void Only_applications_end_the_process() => NoRoomCalls(@"System\.Environment::(Exit|FailFast)\(");
    [Fact] public void Only_applications_read_the_environment() => NoRoomCalls(@"System\.Environment::(GetEnvironmentVariables?|GetCommandLineArgs)\(");
    [Fact] public void Only_applications_ask_the_wall_clock() => NoRoomCalls(@"System\.DateTime(Offset)?::get_(Utc)?Now\(");
    [Fact] public void Only_applications_know_a_command_line() => NoRoomTouches(@"(Spectre\.Console|System\.CommandLine)\..*");
    [Fact] public void Only_applications_know_the_network() => NoRoomTouches(@"System\.Net\.(Http|Sockets)\..*");
    [Fact] public void Chance_comes_from_the_run() => NoRoomTouches(@"System\.Random");
    [Fact] public void The_global_generator_is_never_seeded() => NoRoomCalls(@"TorchSharp\.torch(/|\+)?(random)?::(manual_seed|seed)\(");
    [Fact] public void No_default_dtype_or_device_is_set() => NoRoomCalls(@"TorchSharp\.torch::set_default_(dtype|device)\(");
    [Fact] public void Nobody_collects_garbage_by_hand() => NoRoomCalls(@"System\.GC::Collect\(");
    [Fact] public void Core_knows_no_tensors() => RoomTouchesNo("Core", @"TorchSharp\..*");
    [Fact] public void Guide_never_sees_a_weight() => RoomTouchesNo("Guide", @"TorchSharp\..*");
    [Fact] public void Diffusion_knows_no_model_types() => RoomTouchesNo("Diffusion", @"Levain\.(Models|Networks|Formats)\..*");
    [Fact] public void Data_knows_no_model() => RoomTouchesNo("Data", @"Levain\.(Models|Networks|Diffusion|Generation|Training)\..*");

    [Fact]
    public void The_rules_would_notice()
    {
        Assert.ThrowsAny<Exception>(() => RoomTouchesNo("Formats", @"TorchSharp\..*"));
        Assert.ThrowsAny<Exception>(() => RoomCallsNo("Core", @"System\.IO\.File::Move\("));
    }

    private static void NoRoomTouches(string type)
    {
        foreach (var room in Rooms) RoomTouchesNo(room, type);
    }

    private static void NoRoomCalls(string method)
    {
        foreach (var room in Rooms) RoomCallsNo(room, method);
    }

    private static void RoomTouchesNo(string room, string type) =>
        RoomHasNo<ITypeDependency>(room, $"touch {type}", dependency => Regex.IsMatch(dependency.Target.FullName, $"^{type}$"), dependency => dependency.Target.FullName);

    private static void RoomCallsNo(string room, string method) =>
        RoomHasNo<MethodCallDependency>(room, $"call {method}", call => Regex.IsMatch(call.TargetMember.FullName, method), call => call.TargetMember.FullName);

    private static void RoomHasNo<T>(string room, string what, Func<T, bool> forbidden, Func<T, string> name) where T : ITypeDependency =>
        Types().That().ResideInAssembly(Room(room)).Should()
            .FollowCustomCondition(type => type.Dependencies.OfType<T>().Where(forbidden).Select(name).FirstOrDefault() is { } found
                ? new ConditionResult(type, false, $"does: {found}") : new ConditionResult(type, true), $"not {what}")
            .WithoutRequiringPositiveResults().Check(House);

    private static Assembly Room(string name) => Assembly.Load($"Levain.{name}");
}
