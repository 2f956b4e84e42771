using System.Text.Json;
using Levain.Core;
using Levain.Tests.Training.Planning;
using Levain.Training.Metadata;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>What can be told of the recorded runs without a model: pictures, length, files, metadata.</summary>
public sealed class RecordedFactsTests(ITestOutputHelper output)
{
    /// <summary>Times, sessions, hashes of files, and the commit differ from run to run.</summary>
    private static readonly string[] Differing =
    [
        "ss_session_id", "ss_training_started_at", "ss_training_finished_at", "ss_sd_model_hash", "ss_new_sd_model_hash", "ss_sd_scripts_commit_hash",
        "sshs_model_hash", "sshs_legacy_hash", "modelspec.date", "modelspec.implementation_version",
    ];

    private static readonly string Bases = Path.Combine(Path.GetTempPath(), "levain-hollow-bases");

    private IEnumerable<(string Name, JsonElement Run, RunPlan Plan)> Accepted()
    {
        var (count, refused) = (0, 0);
        foreach (var name in RecordedRuns.Names)
        {
            var run = RecordedRuns.Load(name);
            var (settings, problems) = RecordedRuns.Read(run, Path.Combine(Bases, "$MODEL.safetensors"));
            if (problems.Any)
            {
                refused++;
                continue;
            }
            settings = settings with { Snapshots = settings.Snapshots with { KohyaResume = null } };        // no state lies here
            HollowBase.At(settings.Model.Base!);       // the recorded bases are synthetic and large; here only a header is read
            var again = new Problems();
            var plan = RunPlan.Make(settings, again, new PythonRandom(settings.Training.Seed!.Value));
            if (plan is null && run.TryGetProperty("error", out _))        // kohya comes to grief only on its way
            {
                refused++;
                continue;
            }
            count++;
            Assert.True(plan is not null, $"{name}: {string.Join('\n', again.All)}");
            yield return (name, run, plan);
        }
        output.WriteLine($"{count} planned, {refused} refused by name");
    }

    [Fact]
    public void Pictures_steps_and_files_are_those_recorded()
    {
        foreach (var (name, run, plan) in Accepted())
        {
            var metadata = run.GetProperty("metadata");
            string Recorded(string key) => metadata.GetProperty(key).GetString()!;
            // Only networks tell of pictures and steps in their files.
            Assert.Equal(run.GetProperty("datasets").EnumerateArray().Where(part => part.GetProperty("kind").GetString() == "train").Sum(part => part.GetProperty("num_train_images").GetInt32()), plan.Dataset.Parts.Sum(part => part.TrainUses));
            if (plan.Settings.Trains is Trains.Network)
                Assert.Equal((Recorded("ss_num_batches_per_epoch"), Recorded("ss_num_epochs"), Recorded("ss_max_train_steps")),
                    ($"{plan.Length.BatchesPerEpoch}", $"{plan.Length.Epochs}", $"{plan.Length.Steps}"));
            var files = run.GetProperty("files").EnumerateArray().Select(file => file.GetString()!).Where(file => file.EndsWith(".safetensors") && !file.Contains("-state/"));
            Assert.Equal(files.Order(StringComparer.Ordinal), plan.Files.Select(file => Path.GetRelativePath("/out", file.Path)).Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public void Metadata_is_word_for_word_as_recorded()
    {
        foreach (var (name, run, plan) in Accepted().Where(one => one.Plan.Settings.Trains is Trains.Network))
        {
            var recorded = run.GetProperty("metadata").EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetString()!);
            var moment = new RunMoment
            {
                SessionId = 1,
                StartedAt = 1,
                SavedAt = 2,
                Steps = plan.Length.Steps,
                Epoch = int.Parse(recorded["ss_epoch"]),
                BaseHashes = ("a", "b"),
            };
            var built = LoraMetadata.Build(plan, moment, SaveReason.Final);
            foreach (var (key, value) in recorded)
                if (!Differing.Contains(key)) Assert.True(built.TryGetValue(key, out var ours) && ours == value, $"{name} {key}: {built.GetValueOrDefault(key)} where {value} was recorded");
            Assert.Equal(recorded.Keys.Except(["sshs_model_hash", "sshs_legacy_hash"]).Order(), built.Keys.Order());
        }
    }
}
