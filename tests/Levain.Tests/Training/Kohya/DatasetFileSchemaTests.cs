using Levain.Core;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>Every key of a dataset file in every table, for every kind of subset and every trainer: taken or refused as by <c>ConfigSanitizer</c> of kohya-ss/sd-scripts 48d368f.</summary>
public sealed class DatasetFileSchemaTests
{
    private const string NetworkTrainer = "train_network.py", DreamBooth = "train_db.py", FineTune = "fine_tune.py", Word = "train_textual_inversion.py";

    // Where each key is taken: g is [general], then f, m and k are [[datasets]] and F, M and K their subsets: folders, metadata files, masks.
    // By train_network.py with --masked_loss, which knows all of them.
    private static readonly (string Key, string Value, string Taken)[] Table =
    [
        ("batch_size", "2", "gfmk"),
        ("bucket_no_upscale", "true", "gfmk"),
        ("bucket_reso_steps", "64", "gfmk"),
        ("enable_bucket", "true", "gfmk"),
        ("max_bucket_reso", "1024", "gfmk"),
        ("min_bucket_reso", "256", "gfmk"),
        ("network_multiplier", "0.5", "gfmk"),
        ("resolution", "512", "gfmk"),
        ("validation_seed", "3", "gfmk"),
        ("validation_split", "0.1", "gfmk"),
        ("resize_interpolation", "\"area\"", "gfmkFMK"),
        ("color_aug", "true", "gfmkFMK"),
        ("face_crop_aug_range", "[1.0, 2.0]", "gfmkFMK"),
        ("flip_aug", "true", "gfmkFMK"),
        ("num_repeats", "2", "gfmkFMK"),
        ("random_crop", "false", "gfmkFMK"),
        ("shuffle_caption", "true", "gfmkFMK"),
        ("keep_tokens", "1", "gfmkFMK"),
        ("keep_tokens_separator", "\"|||\"", "gfmkFMK"),
        ("secondary_separator", "\";\"", "gfmkFMK"),
        ("caption_separator", "\".\"", "gfmkFMK"),
        ("enable_wildcard", "true", "gfmkFMK"),
        ("token_warmup_min", "1", "gfmkFMK"),
        ("token_warmup_step", "10", "gfmkFMK"),
        ("caption_prefix", "\"a\"", "gfmkFMK"),
        ("caption_suffix", "\"b\"", "gfmkFMK"),
        ("custom_attributes", "{ a = 1 }", "gfmkFMK"),
        ("caption_dropout_every_n_epochs", "2", "gfmkFMK"),
        ("caption_dropout_rate", "0.1", "gfmkFMK"),
        ("caption_tag_dropout_rate", "0.1", "gfmkFMK"),
        ("caption_extension", "\".txt\"", "gfkFK"),
        ("cache_info", "true", "gfkFK"),
        ("class_tokens", "\"cat\"", "gfF"),
        ("is_reg", "true", "F"),
        ("alpha_mask", "true", "FM"),
        ("image_dir", "\"e\"", "FMK"),
        // These two make a subset of another kind of a folder.
        ("metadata_file", "\"n.json\"", "FM"),
        ("conditioning_data_dir", "\"l\"", "FK"),
        // Levain's own, and kohya's command line's.
        ("captioning", "\"auto\"", ""),
        ("folder", "\"d\"", ""),
        ("reg_folder", "\"d\"", ""),
        ("debug_dataset", "true", ""),
        ("prior_loss_weight", "0.5", ""),
        ("max_token_length", "150", ""),
        ("train_batch_size", "2", ""),
        ("dataset_repeats", "2", ""),
        ("subsets", "1", ""),
    ];

    private static readonly (char Dataset, char Subset, string Lines)[] Kinds =
    [
        ('f', 'F', "image_dir = \"d\"\n"),
        ('m', 'M', "image_dir = \"d\"\nmetadata_file = \"m.json\"\n"),
        ('k', 'K', "image_dir = \"d\"\nconditioning_data_dir = \"k\"\n"),
    ];

    [Fact]
    public void Every_key_is_taken_where_kohya_takes_it_and_nowhere_else()
    {
        List<string> wrong = [];
        foreach (var (key, value, taken) in Table)
            foreach (var (place, file) in Places(key, value))
                if (IsTaken(NetworkTrainer, file, "--masked_loss") != taken.Contains(place)) wrong.Add($"{key} at {place}");
        Assert.Equal("", string.Join(", ", wrong));
    }

    // The trainers that know less: what is left of the table for each.
    [Theory]
    [InlineData(NetworkTrainer, "gfmFM", "")]
    [InlineData(DreamBooth, "gfF", "")]
    [InlineData(DreamBooth, "gkK", "--masked_loss")]
    [InlineData(FineTune, "gmM", "")]
    [InlineData(Word, "gfmFM", "")]
    [InlineData(Word, "gfmkFMK", "--masked_loss")]
    public void Trainers_that_know_less_refuse_more(string trainer, string places, string option)
    {
        List<string> wrong = [];
        foreach (var (key, value, taken) in Table)
            foreach (var (place, file) in Places(key, value))
            {
                // What [general] may say follows the kinds of subsets there may be. train_db.py has class tokens there even where all subsets have masks.
                var known = taken.Contains('f') || taken.Contains('m') || taken.Contains('k');
                var general = known && (trainer is not FineTune || taken.Contains('m'));
                var wanted = places.Contains(place) && taken.Contains(place) && (place != 'g' || general)
                    && !(trainer is Word && key.Contains("dropout"));
                if (place is 'F' && key is "metadata_file" or "conditioning_data_dir") wanted = places.Contains(key is "metadata_file" ? 'M' : 'K');
                if (IsTaken(trainer, file, option) != wanted) wrong.Add($"{key} at {place}");
            }
        Assert.Equal("", string.Join(", ", wrong));
    }

    [Theory]
    [InlineData("[[datasets]]\n[[datasets.subsets]]\nimage_dir = \"d\"\n[[datasets.subsets]]\nimage_dir = \"e\"\nconditioning_data_dir = \"k\"\n", false)]
    [InlineData("[[datasets]]\n[[datasets.subsets]]\nimage_dir = \"d\"\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = \"e\"\nconditioning_data_dir = \"k\"\n", true)]
    [InlineData("[[datasets]]\n[[datasets.subsets]]\nmetadata_file = \"m.json\"\n", true)]
    [InlineData("[[datasets]]\n[[datasets.subsets]]\nconditioning_data_dir = \"k\"\n", false)]
    [InlineData("[[datasets]]\n[[datasets.subsets]]\nimage_dir = \"d\"\nconditioning_data_dir = \"k\"\nmetadata_file = \"m.json\"\n", false)]
    [InlineData("[[datasets]]\n", true)]
    [InlineData("datasets = []\n", true)]
    [InlineData("datasets = 1\n", false)]
    [InlineData("general = 1\n[[datasets]]\n", false)]
    [InlineData("batch_size = 1\n[[datasets]]\n", false)]
    [InlineData("[model]\nbase = \"b\"\n[[datasets]]\n", false)]
    [InlineData("[[datasets]]\nsubsets = [1]\n", false)]
    [InlineData("[[datasets]]\ncustom_attributes = 1\n", false)]
    [InlineData("[[datasets]]\nface_crop_aug_range = [1.0, 2]\n", false)]
    [InlineData("[[datasets]]\nface_crop_aug_range = [1.0, 2.0, 3.0]\n", false)]
    [InlineData("[[datasets]]\nnetwork_multiplier = 1\n", false)]
    [InlineData("[[datasets]]\nvalidation_split = 0\n", false)]
    [InlineData("[[datasets]]\nkeep_tokens = 1.0\n", false)]
    [InlineData("[[datasets]]\nkeep_tokens = true\n", true)]      // Python's True is a whole number
    [InlineData("[[datasets]]\ntoken_warmup_step = 0.5\n", true)]
    [InlineData("[[datasets]]\nresolution = [512, 512]\n", true)]
    [InlineData("[[datasets]]\nresolution = [512]\n", false)]
    public void Kinds_and_types_are_kohyas(string toml, bool taken) => Assert.Equal(taken, IsTaken(NetworkTrainer, toml, "--masked_loss"));

    [Theory]
    [InlineData("d.json", "{\"general\": {\"keep_tokens\": 2}, \"datasets\": [{\"resolution\": [512, 640], \"subsets\": [{\"image_dir\": \"d\"}]}]}", "")]
    [InlineData("d.JSON", "{\"general\": {\"keep_tokens\": 2}, \"datasets\": [{\"resolution\": [512, 640], \"validation_split\": 0.0, \"subsets\": [{\"image_dir\": \"d\"}]}]}", "")]
    [InlineData("d.Toml", "[general]\nkeep_tokens = 2\n[[datasets]]\nresolution = [512, 640]\n[[datasets.subsets]]\nimage_dir = \"d\"\n", "")]
    [InlineData("d.json", "{\"datasets\": [{\"resolution\": null}]}", "resolution")]
    [InlineData("d.json", "[general]", "JSON")]
    [InlineData("d.json", "[1]", "JSON")]
    [InlineData("d.txt", "[[datasets]]\n", "d.txt")]
    [InlineData("d.yaml", "[[datasets]]\n", "--dataset_config")]
    public void Dataset_files_end_in_toml_or_json(string name, string text, string word)
    {
        var (settings, problems) = Read(NetworkTrainer, text, name);
        if (word.Length > 0)
        {
            Assert.Contains(problems.All, problem => problem.ToString().Contains(word));
            return;
        }
        Assert.Empty(problems.All);
        var filled = Assert.Single(settings.FilledDatasets);
        Assert.Equal(new PixelSize(512, 640), filled.Resolution);
        Assert.Equal(2, Assert.Single(filled.ToOptions(1, 1).Subsets).KeepTokens);
    }

    [Fact]
    public void A_refused_key_is_told_once_with_its_place()
    {
        var problem = Assert.Single(Read(NetworkTrainer, "[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = \"d\"\ncaptioning = \"auto\"\n").Problems.All);
        Assert.Equal(("d.toml(5,1)", "datasets[0].subsets[0].captioning"), (problem.Origin, problem.Where));
        problem = Assert.Single(Read(NetworkTrainer, "[[datasets]]\nalpha_mask = true\n[[datasets.subsets]]\nimage_dir = \"d\"\n").Problems.All);
        Assert.Equal("Put it into [[datasets.subsets]].", problem.Fix);
    }

    [Fact]
    public void Class_tokens_are_handed_down_to_folders_without_masks()
    {
        var (settings, problems) = Read(NetworkTrainer, """
            [general]
            class_tokens = "cat"
            [[datasets]]
            [[datasets.subsets]]
            image_dir = "a"
            [[datasets.subsets]]
            image_dir = "b"
            class_tokens = "dog"
            [[datasets]]
            class_tokens = "fox"
            [[datasets.subsets]]
            image_dir = "c"
            [[datasets]]
            [[datasets.subsets]]
            image_dir = "d"
            metadata_file = "m.json"
            [[datasets]]
            [[datasets.subsets]]
            image_dir = "e"
            conditioning_data_dir = "k"
            """, "d.toml", "--masked_loss", "--alpha_mask");
        Assert.Empty(problems.All);
        var subsets = settings.ToDatasetOptions().SelectMany(dataset => dataset.Subsets).ToList();
        Assert.Equal(["cat", "dog", "fox", null, null], subsets.Select(subset => subset.ClassTokens));
        Assert.Equal([true, true, true, true, false], subsets.Select(subset => subset.AlphaMask));
    }

    [Fact]
    public void What_kohya_never_looks_at_is_taken_with_a_note()
    {
        List<string> notes = [];
        const string toml = "[general]\ncustom_attributes = { a = 1 }\n[[datasets]]\nresolution = 512\nnetwork_multiplier = 0.5\n[[datasets.subsets]]\nimage_dir = \"d\"\ncache_info = true\ncustom_attributes = { b = 2 }\n";
        var (settings, problems) = Read(NetworkTrainer, toml, notes: notes);
        settings.Check(problems);
        Assert.DoesNotContain(problems.All, problem => problem.Where.StartsWith("datasets") || problem.Where.StartsWith("general"));
        Assert.Contains(notes, note => note.StartsWith("network_multiplier"));
        Assert.Contains(notes, note => note.StartsWith("cache_info"));
        Assert.Contains(notes, note => note.StartsWith("custom_attributes"));
    }

    [Theory]
    [InlineData(NetworkTrainer, "true", false)]
    [InlineData(NetworkTrainer, "1", false)]
    [InlineData(NetworkTrainer, "false", true)]
    [InlineData(NetworkTrainer, "\"\"", true)]
    [InlineData(DreamBooth, "true", true)]
    public void Preservation_of_what_the_base_draws_is_refused_by_name(string trainer, string value, bool taken)
    {
        var toml = $"[[datasets]]\n[[datasets.subsets]]\nimage_dir = \"d\"\n[datasets.subsets.custom_attributes]\ndiff_output_preservation = {value}\n";
        var problems = Read(trainer, toml).Problems;
        if (taken) Assert.Empty(problems.All);
        else Assert.Contains("diff_output_preservation", Assert.Single(problems.All).Where);
    }

    [Theory]
    [InlineData("caption_dropout_rate = 1.5")]
    [InlineData("caption_dropout_rate = -1")]
    [InlineData("caption_tag_dropout_rate = 2")]
    [InlineData("keep_tokens = -1")]
    [InlineData("token_warmup_min = -1")]
    [InlineData("token_warmup_step = -1")]
    [InlineData("caption_dropout_every_n_epochs = -1")]
    [InlineData("num_repeats = 0")]
    [InlineData("face_crop_aug_range = [2.0, 1.0]")]
    [InlineData("validation_split = -0.5")]
    [InlineData("min_bucket_reso = 8")]
    [InlineData("bucket_reso_steps = 10")]
    [InlineData("enable_bucket = true\nbucket_no_upscale = true\nmin_bucket_reso = 8")]
    public void Limits_that_kohya_has_not_are_none(string line)
    {
        var (settings, problems) = Read(NetworkTrainer, $"[[datasets]]\nresolution = 512\n{line}\n[[datasets.subsets]]\nimage_dir = \"d\"\n");
        settings.Check(problems);
        Assert.DoesNotContain(problems.All, problem => problem.Where.StartsWith("datasets"));
        settings = settings.Soundly();
        settings.Check(problems);
        Assert.Contains(problems.All, problem => problem.Where.StartsWith("datasets"));
    }

    [Theory]
    [InlineData("bucket_reso_steps = 32", true, false)]
    [InlineData("color_aug = true", true, false)]
    [InlineData("random_crop = true", false, false)]
    [InlineData("min_bucket_reso = 32", false, false)]
    public void Masks_hide_steps_and_colours_from_kohyas_checks(string line, bool masked, bool plain)
    {
        foreach (var (masks, taken) in new[] { ("conditioning_data_dir = \"k\"\n", masked), ("", plain) })
        {
            var (settings, problems) = Read(NetworkTrainer, $"[[datasets]]\nresolution = 512\nenable_bucket = true\n{line}\n[[datasets.subsets]]\nimage_dir = \"d\"\n{masks}", "d.toml", "--masked_loss", "--cache_latents");
            settings.Check(problems);
            Assert.Equal(taken, !problems.All.Any(problem => problem.Where.StartsWith("datasets")));
        }
    }

    [Theory]
    [InlineData(DreamBooth, "--masked_loss --train_data_dir d", "--masked_loss")]
    [InlineData(DreamBooth, "--train_data_dir d", null)]
    [InlineData(NetworkTrainer, "--masked_loss --train_data_dir d", null)]
    [InlineData(NetworkTrainer, "--train_data_dir d --face_crop_aug_range 1.0,2.0", null)]
    [InlineData(NetworkTrainer, "--train_data_dir d --face_crop_aug_range 2.0,1.0", "--face_crop_aug_range")]
    [InlineData(NetworkTrainer, "--in_json m.json", "--in_json")]
    [InlineData(FineTune, "--in_json m.json", "--in_json")]
    [InlineData(FineTune, "--in_json m.json --train_data_dir d", null)]
    public void Options_beside_a_dataset_file_are_kohyas(string trainer, string words, string? refused)
    {
        var (_, problems) = KohyaArguments.Read([.. Needed(trainer), .. words.Split(' ')], trainer, _ => "");
        if (refused is null) Assert.Empty(problems.All);
        else Assert.Equal(refused, Assert.Single(problems.All).Where);
    }

    private static IEnumerable<(char Place, string File)> Places(string key, string value)
    {
        var line = $"{key} = {value}\n";
        yield return ('g', $"[general]\n{line}[[datasets]]\n");
        foreach (var (dataset, subset, lines) in Kinds)
        {
            yield return (dataset, $"[[datasets]]\n{line}{(key == "subsets" ? "" : $"[[datasets.subsets]]\n{lines}")}");
            var own = string.Concat(lines.Split('\n').Where(own => own.Length > 0 && !own.StartsWith(key + " ")).Select(own => own + "\n"));
            yield return (subset, $"[[datasets]]\n[[datasets.subsets]]\n{own}{line}");
        }
    }

    private static bool IsTaken(string trainer, string toml, string option) => !Read(trainer, toml, "d.toml", option).Problems.Any;

    private static (RunSettings Settings, Problems Problems) Read(string trainer, string text, string name = "d.toml", params IEnumerable<string> options) =>
        Read(trainer, text, name, null, options);

    private static (RunSettings Settings, Problems Problems) Read(string trainer, string text, List<string> notes) => Read(trainer, text, "d.toml", notes, []);

    private static (RunSettings Settings, Problems Problems) Read(string trainer, string text, string name, List<string>? notes, IEnumerable<string> options) =>
        KohyaArguments.Read([.. Needed(trainer), "--dataset_config", name, .. options.Where(option => option.Length > 0)], trainer, _ => text, notes);

    private static string[] Needed(string trainer) => ["--pretrained_model_name_or_path", "m", .. trainer is NetworkTrainer ? new[] { "--network_module", "networks.lora" } : []];
}
