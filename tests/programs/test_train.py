from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import evaluate
import export
import predict
import train
from catalog import RECIPES
from cli import command_line, recipe_line
from invented_runs import invented_result
from keras_resnet.config.run import Run
from keras_resnet.reporting import console
from keras_resnet.runs import lock
from keras_resnet.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def experiment(monkeypatch, tmp_path):
    """A stand-in for the training, which keeps what it is asked for."""
    module = ModuleType("keras_resnet.experiment.run")
    module.asked, module.place = [], tmp_path
    module.train = lambda recipe, run, tell: module.asked.append((recipe, run)) or 0
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(train.places, "require", lambda name, directory: None)  # no data set is at hand
    monkeypatch.chdir(tmp_path)
    return module


def asked(experiment, *arguments: str):
    """The recipe and the run that reach the training."""
    assert train.main(arguments) == 0
    return experiment.asked.pop()


def refusal(capsys, *arguments: str) -> str:
    """What somebody reads after a command that is refused, without the box and its line breaks."""
    with pytest.raises(SystemExit) as stopped:
        train.main(arguments)
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    return re.sub(r"[\s│]+", " ", output.err)


@pytest.mark.parametrize(
    ("flags", "log_every", "validate_every"),
    [
        ("", 100, 1000),
        ("--schedule.scale 2", 100, 1000),
        ("--schedule.scale 0.125", 100, 800),
        ("--schedule.scale 0.01", 64, 64),
        ("--schedule.scale 0.0001", 1, 1),
        ("--schedule.iterations 500 --schedule.boundaries 300", 50, 50),
        ("--schedule.scale 0.01 --training.validate-every 320", 64, 320),
        ("--schedule.scale 0.01 --training.log_every 100", 100, 64),
        ("--training.validate-every 20000", 100, 20000),
    ],
)
def test_a_short_training_logs_and_validates_ten_times_unless_told_otherwise(
    experiment, flags, log_every, validate_every
):
    recipe, _ = asked(experiment, "cifar10-resnet20", *flags.split())
    assert (recipe.training.log_every, recipe.training.validate_every) == (log_every, validate_every)


def test_a_short_run_continues_with_the_intervals_that_it_has(experiment, tmp_path):
    """Also one of an earlier version, which left them as they were."""
    recipe = RECIPES["cifar10-resnet20"]
    recipe = replace(recipe, schedule=replace(recipe.schedule, scale=0.01))
    RunDirectory(tmp_path / "run").create(recipe.to_json(), {})
    assert asked(experiment, "run", "--schedule.scale", "0.01")[0] == recipe
    assert asked(experiment, str(tmp_path / "run" / "recipe.json"), "--run.directory", "other")[0] == recipe


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("folder-resnet18", "`data_directory` must be a directory of class folders. Received: data_directory=None"),
        ("folder-resnet18 --run.data-directory nowhere", "There is no directory nowhere. Choose another"),
        ("folder-resnet18 --run.data-directory gs://x", "'folder' must be in a directory of this machine"),
        ("imagenet-resnet50", "`data_directory` must be the directory of ImageNet's files."),
        ("imagenet-resnet50 --run.data-directory nowhere", "There is no directory nowhere."),
        ("cifar10-resnet20 --run.data-directory nowhere", "cifar10 is not in nowhere. Choose another `data_directory`"),
        ("cifar10-resnet20", "cifar10 is not in empty."),
        ("cifar10-resnet20 --run.strategy multi_worker", "cifar10 is not in empty."),
        ("digits-resnet8 --run.directory file/run", "file is a file. Choose another `directory` (--run.directory)"),
        ("digits-resnet8 --run.checkpoint-directory file", "file is a file. Choose another `checkpoint_directory`"),
        ("digits-resnet8 --run.directory locked/run", "locked may not be written to. Make room there or allow it"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_before_anything_loads(
    capsys, experiment, monkeypatch, arguments, expected
):
    monkeypatch.undo()
    monkeypatch.chdir(experiment.place)
    monkeypatch.setenv("TFDS_DATA_DIR", "empty")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "locked")  # root may write anywhere
    Path("file").touch()
    Path("locked").mkdir()
    loaded = set(sys.modules)
    assert expected in refusal(capsys, *arguments.split())
    assert not {"keras_resnet.experiment.run"} & (set(sys.modules) - loaded)
    assert {path.name for path in Path().rglob("*")} == {"file", "locked"}


def test_a_name_alone_trains_that_recipe(experiment):
    assert asked(experiment, "digits-resnet8") == (RECIPES["digits-resnet8"], Run())


def test_flags_change_what_they_name_and_nothing_else(experiment):
    flags = "--model.shortcut None --schedule.scale 0.125 --data.holdout 5000 --training.precision mixed_bfloat16"
    recipe, run = asked(
        experiment, "cifar10-resnet20", *flags.split(), "--run.data-directory", "my data", "--run.resume"
    )
    assert RECIPES["cifar10-resnet20"].differences(recipe) == [
        "model.shortcut: 'A' -> None",
        "data.holdout: 0 -> 5000",
        "schedule.scale: 1.0 -> 0.125",
        "training.precision: 'float32' -> 'mixed_bfloat16'",
        "training.validate_every: 1000 -> 800",
    ]
    assert run == Run(data_directory="my data", resume=True)


@pytest.mark.parametrize(
    ("flags", "section", "field", "value"),
    [
        ("--model.shortcut B", "model", "shortcut", "B"),
        ("--model.preactivation", "model", "preactivation", True),
        ("--model.remat True", "model", "remat", True),
        ("--model.depth 32", "model", "depth", 32),
        ("--schedule.boundaries 100 200", "schedule", "boundaries", (100, 200)),
        ("--schedule.learning-rate 1", "schedule", "learning_rate", 1.0),
        ("--schedule.learning_rate=5e-2", "schedule", "learning_rate", 0.05),
        ("--optimizer.nesterov", "optimizer", "nesterov", True),
        ("--data.augmentation pad-crop", "data", "augmentation", ("pad-crop",)),
        ("--data.augmentation flip --training.seed 1", "data", "augmentation", ("flip",)),
        ("--data.augmentation", "data", "augmentation", ()),
    ],
)
def test_a_flag_becomes_a_value_of_its_type(experiment, flags, section, field, value):
    recipe, _ = asked(experiment, "cifar10-resnet20", *flags.split())
    received = getattr(getattr(recipe, section), field)
    assert received == value
    assert type(received) is type(value)


def test_a_recipe_file_is_replayed_exactly_and_flags_change_it(experiment, tmp_path):
    directory = RunDirectory(tmp_path / "run")
    saved, _ = asked(experiment, "cifar10-plain56", "--training.seed", "7")
    directory.create(saved.to_json(), {})
    assert asked(experiment, str(directory.recipe)) == (saved, Run())
    changed, _ = asked(experiment, str(directory.recipe), "--model.shortcut", "C")
    assert saved.differences(changed) == ["model.shortcut: None -> 'C'"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("cifar10-resnet21", "'cifar10-resnet21' is no recipe. Did you mean 'cifar10-resnet20'?"),
        ("digits", "Did you mean 'digits-resnet8'?"),
        ("resnet50", "'resnet50' is no recipe. Did you mean 'imagenet-resnet50'?"),
        ("cifar", "'cifar' is no recipe. Near it: cifar10"),
        (
            "xyz",
            "'xyz' is no recipe. --list shows the recipes; a recipe.json is replayed, the directory of a run continued",
        ),
        ("runs/xyz", "'runs/xyz' is no recipe, and there is no run runs/xyz. --list shows"),
        ("--model.depth 32 cifar10-resnet20", "the recipe comes first, before --model.depth"),
        ("cifar10-resnet20 --model.shortcutt B", "There is no --model.shortcutt. Did you mean --model.shortcut?"),
        ("cifar10-resnet20 --modle.shortcut B", "Did you mean --model.shortcut?"),
        ("cifar10-resnet20 --shortcut B", "Did you mean --model.shortcut?"),
        ("cifar10-resnet20 --batch-size 3", "Did you mean --training.global-batch-size 128?"),
        ("cifar10-resnet20 --model.depth 8 --model.depth=14", "--model.depth must be given once. Received: twice"),
        ("cifar10-resnet20 --model.zero-gamma --model.no-zero_gamma", "--model.zero-gamma must be given once"),
        (
            "cifar10-resnet20 --model.shortcut D",
            "`shortcut` must be one of 'A', 'B', 'C', None. Received: shortcut='D' (--model.shortcut)",
        ),
        ("cifar10-resnet20 --model.shortcut b", "Did you mean 'B'?"),
        ("cifar10-resnet20 --training.precision bfloat16", "Did you mean 'mixed_bfloat16'?"),
        ("cifar10-resnet20 --model.remat maybe", "`remat` must be True, False or None. Received: remat='maybe'"),
        ("cifar10-resnet20 --model.depth 21", "`depth` must be 6n+2 (20, 32, 44, 56, 110, 1202, …)"),
        ("cifar10-resnet20 --model.depth x", "`depth` must be a whole number. Received: depth='x'"),
        (
            "cifar10-resnet20 --schedule.scale nan",
            "`scale` must be a finite number. Received: scale=nan (--schedule.scale)",
        ),
        ("cifar10-resnet20 --schedule.name x", "Received: name='x' (--schedule.name)"),
        ("cifar10-resnet20 --model.depth none", "`depth` must be a whole number. Received: depth='none'"),
        ("cifar10-resnet20 --schedule.scale big", "`scale` must be a finite number. Received: scale='big'"),
        ("cifar10-resnet20 --schedule.boundaries 1 b", "`boundaries` must be a list of whole numbers."),
        ("cifar10-resnet20 --schedule.iterations 100", "To shorten or stretch everything together, set `scale`"),
        ("cifar10-resnet20 --model.shortcut", "--model.shortcut needs a value"),
        ("cifar10-resnet20 --data.augmentation pad-crop flop", "('pad-crop', 'flop'). Did you mean 'flip'?"),
        ("cifar10-resnet20 --data.augmentation flip pad-crop", "without repetition, in the order pad-crop, flip."),
        (
            "imagenet-resnet50 --data.augmentation pad-crop flip",
            "operations for encoded images, any of random-scale-crop, random-resized-crop, flip, color-jitter, color-n",
        ),
        ("cifar10-resnet20 --data.dataset folder", "`image_size` must be positive with dataset='folder', such as 224"),
        (
            "cifar10-resnet20 --model.family imagenet --model.depth 18 --data.dataset digits",
            "`dataset` must have images of at least 32 pixels with family='imagenet'.",
        ),
        ("nowhere.json", "There is no file nowhere.json"),
    ],
)
def test_a_refusal_says_what_is_right(capsys, experiment, arguments, expected):
    assert expected in refusal(capsys, *arguments.split())
    assert experiment.asked == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"compilerOptions": {}}', "settings.json: `compilerOptions` is no key of a recipe."),
        (b"epochs: 90", "settings.json: The recipe must be JSON."),
        (b"\x89PNG\r\n\xff", "settings.json: "),
    ],
)
def test_a_foreign_file_is_refused_by_its_name(capsys, tmp_path, content, expected):
    (tmp_path / "settings.json").write_bytes(content)
    assert f"error: {expected}" in refusal(capsys, "settings.json")


def test_a_typo_in_a_recipe_file_is_named(capsys, tmp_path):
    values = json.loads(RECIPES["digits-resnet8"].to_json())
    values["model"]["shortcutt"] = values["model"].pop("shortcut")
    (tmp_path / "mine.json").write_text(json.dumps(values))
    assert "`model.shortcutt` is no key of a recipe. Did you mean 'model.shortcut'?" in refusal(capsys, "mine.json")


def test_the_directory_of_a_run_continues_it_as_it_was_last_started(experiment, tmp_path, monkeypatch):
    directory, first = RunDirectory(tmp_path / "run"), Run(strategy="mirrored", data_directory="old")
    last = Run(strategy="mirrored", replicas=2, data_directory="images", checkpoint_every=7, keep_checkpoints=1)
    saved, _ = asked(experiment, "cifar10-plain56", "--training.seed", "7")
    for run in (first, last):
        directory.create(saved.to_json(), {"run": run.remembered()}, resume=True)
    expected = replace(last, directory="run", resume=True, data_directory=str(tmp_path / "images"))
    assert asked(experiment, "run") == (saved, expected)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert asked(experiment, "../run") == (saved, replace(expected, directory="../run"))


def test_an_unfinished_run_of_version_0_1_is_continued(experiment, tmp_path):
    """From its directory, or by its name from the default directory that it has, which stays as it is."""
    recipe = RECIPES["digits-resnet8"]
    directory = RunDirectory(tmp_path / "runs" / "digits-resnet8-d3097a0a0d35")
    values = json.loads(recipe.to_json())
    values["data"]["augmentation"] = "crop"
    directory.create(json.dumps(values), {"run": {"checkpoint_every": 7}})
    before = traces(tmp_path)
    path = str(directory.path.relative_to(tmp_path))
    assert asked(experiment, path) == (recipe, Run(directory=path, resume=True, checkpoint_every=7))
    assert asked(experiment, "digits-resnet8", "--run.resume") == (recipe, Run(resume=True))
    assert Run(resume=True).directory_for(recipe) == directory.path.relative_to(tmp_path)
    assert traces(tmp_path) == before


def test_without_resume_a_run_of_version_0_1_is_not_begun_again(capsys, experiment):
    test_an_unfinished_run_of_version_0_1_is_continued(experiment, Path.cwd())
    assert "already holds this recipe, unfinished" in refusal(capsys, "digits-resnet8")


def test_flags_override_what_a_run_remembers(experiment, tmp_path):
    run = Run(strategy="mirrored", replicas=2, data_directory=str(tmp_path / "images"), checkpoint_every=7)
    recipe = RECIPES["cifar10-plain56"]
    RunDirectory(tmp_path / "run").create(recipe.to_json(), {"run": run.remembered()})
    flags = "--run.data-directory moved --run.replicas 3 --run.iterations-per-call 9"
    expected = replace(run, directory="run", resume=True, data_directory="moved", replicas=3, iterations_per_call=9)
    assert asked(experiment, "run", *flags.split()) == (recipe, expected)
    flags = "--run.strategy one_device --run.replicas None"
    expected = replace(run, directory="run", resume=True, strategy="one_device", replicas=None)
    assert asked(experiment, "run", *flags.split()) == (recipe, expected)


@pytest.mark.parametrize("environment", [[], [{"command": "…"}], [{"run": {"workers_of_the_future": 3}}]])
def test_a_run_of_another_version_continues_with_what_is_known(experiment, tmp_path, environment):
    directory = RunDirectory(tmp_path / "run")
    directory.create(RECIPES["digits-resnet8"].to_json(), {})
    directory.environment.write_text(json.dumps(environment))
    assert asked(experiment, "run") == (RECIPES["digits-resnet8"], Run(directory="run", resume=True))
    directory.environment.unlink()
    assert asked(experiment, "run") == (RECIPES["digits-resnet8"], Run(directory="run", resume=True))


def test_a_changed_recipe_is_refused_where_a_run_continues_unless_changes_are_accepted(capsys, experiment, tmp_path):
    RunDirectory(tmp_path / "run").create(RECIPES["digits-resnet8"].to_json(), {})
    told = refusal(capsys, "run", "--training.seed", "1")
    assert "training.seed: 0 -> 1" in told and "`accept_changes=True` continues it" in told
    assert experiment.asked == []
    recipe, run = asked(experiment, "run", "--training.seed", "1", "--run.accept-changes")
    assert recipe.training.seed == 1
    assert run == Run(directory="run", resume=True, accept_changes=True)


@pytest.mark.parametrize("flags", [[], ["--run.keep-checkpoints", "1"]])
def test_a_finished_run_says_so_before_anything_loads_and_changes_nothing(capsys, experiment, tmp_path, flags):
    directory = RunDirectory(tmp_path / "run")
    directory.create(RECIPES["digits-resnet8"].to_json(), {"run": Run().remembered()})
    errors = {"images": 360, "loss": 0.125, "top1_error": 2.5, "top5_error": 0.0}
    directory.write_result(invented_result(splits={"validation": errors}))
    before = traces(tmp_path)
    assert train.main(["run", *flags]) == 0
    assert experiment.asked == []
    told = capsys.readouterr().out
    assert told.startswith("This run is finished.")
    assert "2.50%" in told and "0.1250" in told and "run/model.keras" in told
    assert traces(tmp_path) == before


def traces(path: Path) -> dict[str, tuple]:
    """Content and age of everything in a directory."""
    return {
        str(file.relative_to(path)): (file.stat().st_mtime_ns, file.is_file() and file.read_bytes())
        for file in [path, *path.rglob("*")]
    }


def test_an_empty_directory_is_no_run(capsys, experiment, tmp_path):
    (tmp_path / "run").mkdir()
    assert "'run' is no recipe" in (told := refusal(capsys, "run"))
    assert "holds no run: there is no run/recipe.json" in told


def test_a_directory_that_holds_another_recipe_is_refused_before_anything_loads(capsys, experiment, tmp_path):
    RunDirectory(tmp_path / "run").create(RECIPES["digits-resnet8"].to_json(), {})
    told = refusal(capsys, "digits-resnet8", "--run.directory", "run", "--training.seed", "1")
    assert "run holds another recipe." in told
    assert "training.seed: 0 -> 1" in told
    assert "continue it with `resume=True`" in refusal(capsys, "digits-resnet8", "--run.directory", "run")
    assert experiment.asked == []
    asked(experiment, "digits-resnet8", "--run.directory", "run", "--run.resume")


@pytest.mark.parametrize("error", [ValueError("label 12 is out of range"), OSError("the disk is full")])
def test_an_error_of_the_training_is_one_line(capsys, experiment, error):
    def stop(recipe, run, tell):
        raise error

    experiment.train = stop
    assert refusal(capsys, "digits-resnet8") == f"error: {error} "


@pytest.mark.parametrize("status", [0, 3, 75, 130])
def test_the_exit_status_is_that_of_the_training(experiment, status):
    experiment.train = lambda recipe, run, tell: status
    assert train.main(["digits-resnet8"]) == status


def test_a_worker_that_did_not_join_is_a_reason_to_start_again(capsys, experiment):
    def wait(recipe, run, tell):
        raise TimeoutError("worker 1 did not join")

    experiment.train = wait
    assert train.main(["digits-resnet8"]) == 75
    assert capsys.readouterr().err == "error: worker 1 did not join\n"


def test_ctrl_c_at_once_is_one_line(capsys, experiment):
    def press(recipe, run, tell):
        raise KeyboardInterrupt

    experiment.train = press
    assert train.main(["digits-resnet8"]) == 130
    assert capsys.readouterr().err == "stopped at once; --run.resume continues from the last checkpoint\n"


@pytest.mark.parametrize("strategy", ["multi_worker", "auto"])
def test_a_worker_does_not_look_at_the_directory_that_only_the_chief_has(experiment, tmp_path, strategy):
    RunDirectory(tmp_path / "run").create(RECIPES["digits-resnet8"].to_json(), {})
    flags = ["--run.directory", "run", "--training.seed", "1", "--run.strategy", strategy]
    _, run = asked(experiment, "digits-resnet8", *flags)
    assert run.strategy == strategy


def test_nothing_asked_shows_the_usage_and_the_recipes_as_an_error(capsys):
    assert "python recipes/train.py RECIPE" in (told := refusal(capsys))
    assert all(name in told for name in RECIPES)


@pytest.mark.parametrize("flag", ["--list", "--help", "-h"])
def test_the_recipes_are_listed_with_their_descriptions(capsys, flag):
    with pytest.raises(SystemExit) as stopped:
        train.main([flag])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for name, recipe in RECIPES.items():
        assert any(line.split(maxsplit=1) == [name, recipe.description] for line in lines)


def test_the_help_of_a_recipe_shows_its_values(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(["digits-resnet8", "--help"])
    assert stopped.value.code == 0
    told = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    assert RECIPES["digits-resnet8"].description in told
    assert "--model.shortcut {A,B,C,None} Zero padding (A)" in told
    boundaries = " ".join(map(str, RECIPES["digits-resnet8"].schedule.boundaries))
    assert f"(default: {boundaries})" in told


def test_what_is_said_to_come_next_is_what_the_programs_take(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["recipes/train.py"])
    commands = [shlex.split(line) for line in console.next_commands(RunDirectory(tmp_path / "my run"))[:3]]
    kinds = {"predict": predict.Options, "evaluate": evaluate.Options, "export": export.Options}
    assert [Path(words[1]).stem for words in commands] == list(kinds)
    for (_, program, *words), kind in zip(commands, kinds.values(), strict=True):
        command_line.parse(kind, words, program=program, description="")


def test_every_section_of_a_recipe_has_flags():
    sections = {name for name, value in vars(RECIPES["digits-resnet8"]).items() if name not in ("name", "description")}
    assert set(recipe_line.Overrides.__annotations__) == sections | {"run"}


def test_an_error_that_a_training_tells_has_its_flags(capsys):
    train.tell("error: no room. Make some, then continue with `resume=True`")
    train.tell("ResNet-8: 75,290 parameters")
    told = capsys.readouterr().out
    assert (
        told
        == "error: no room. Make some, then continue with `resume=True` (--run.resume)\nResNet-8: 75,290 parameters\n"
    )


def test_a_run_that_another_process_trains_is_refused_before_anything_loads(capsys, experiment, tmp_path):
    RunDirectory(tmp_path / "run").create(RECIPES["digits-resnet8"].to_json(), {})
    with lock.writing(tmp_path / "run"):
        told = refusal(capsys, "run")
        assert "run is being trained by process" in told and "choose another `directory` (--run.directory)" in told
        assert experiment.asked == []
    asked(experiment, "run")
