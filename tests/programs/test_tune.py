"""The command that searches among recipes, mostly with a stand-in for the training."""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import commands
import tune
from catalog import RECIPES
from catalog.studies import STUDIES
from cli import recipe_line
from invented_runs import invented_result, invented_run
from keras_resnet.config.recipe import Recipe
from keras_resnet.facts import architectures
from keras_resnet.host import child_process
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.search import axes, oracles, report, trials
from ports import free_ports

ROOT = Path(__file__).parents[2]
ERRORS = {None: 9.0, "A": 7.0, "B": 6.0, "C": 8.0}
"""Of the stand-in, by shortcut, in percent."""


@pytest.fixture
def trained(monkeypatch, tmp_path) -> list:
    """(recipe, run) of every training that a search starts; its error follows from its shortcut and seed."""
    calls = []

    def start(command, stream):
        recipe, run = recipe_line.read(command[2:], "")
        calls.append((recipe, run))
        directory = RunDirectory(run.directory_for(recipe))
        directory.create(recipe.to_json(), {}, resume=run.resume)
        if recipe.schedule.learning_rate > 1:
            stream.write(b"iteration 1\nerror: the loss of iteration 1 is nan\n")
            return 3
        error = ERRORS[recipe.model.shortcut] + recipe.training.seed / 10
        errors = {"images": 360, "loss": 1.0, "top1_error": error, "top5_error": error / 10}
        directory.write_result(invented_result(splits={"validation": errors}))
        return 0

    monkeypatch.setattr(trials, "start", start)
    monkeypatch.setattr(trials, "prepare", lambda: None)
    monkeypatch.setattr(oracles, "PAUSE", 0)
    for name in tune.SHARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return calls


def searched(*words: str, recipe: str = "digits-resnet8") -> int:
    return commands.status(tune.main, recipe, "--directory", "found", *words)


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("found/report.csv").read_text().splitlines()))


def test_the_report_lists_every_point_by_its_error(trained, capsys):
    assert searched("--axes", "model.shortcut=A,B,C,None", "model.depth=8,14") == 0
    found = [(row["model.shortcut"], row["model.depth"], row["error"]) for row in rows()]
    assert sorted(found) == sorted(
        (str(shortcut), str(depth), f"{error:.2f}") for shortcut, error in ERRORS.items() for depth in (8, 14)
    )
    assert [row["error"] for row in rows()] == sorted(row["error"] for row in rows())
    text = Path("found/report.md").read_text()
    assert text in capsys.readouterr().out
    assert text.count("\n| B | 8 | 6.00 |") == 1


def test_a_row_tells_the_size_of_the_network_and_where_its_run_is(trained):
    assert searched("--axes", "model.shortcut=B,A", "model.preactivation=True,False") == 0
    for row in rows():
        run = RunDirectory(Path("found") / row["directories"])
        model = json.loads(run.recipe.read_text())["model"]
        assert [str(model["shortcut"]), str(model["preactivation"])] == [
            row["model.shortcut"],
            row["model.preactivation"],
        ]
        size = architectures.count(
            architectures.cifar(8),
            shortcut=model["shortcut"],
            preactivation=model["preactivation"],
            input_shape=(8, 8, 1),
            classes=10,
        )
        assert (row["parameters"], row["multiply-adds"]) == (str(size.trainable), str(size.multiply_adds))
        assert row["images"] == "360"


def test_a_training_gets_the_recipe_that_its_directory_is_named_after(trained):
    words = "model.preactivation=True,False model.remat=None,True optimizer.global_clipnorm=None,0.5".split()
    boundaries = "schedule.boundaries=100 200,300 400 500"
    assert searched("--schedule.scale", "0.5", "--axes", *words, boundaries, "--run.xla") == 0
    assert len({recipe.fingerprint for recipe, _ in trained}) == len(trained) == 16
    for recipe, run in trained:
        assert Path(run.directory) == Path("found/trials") / f"digits-resnet8-{recipe.fingerprint}"
        assert recipe.schedule.scale == 0.5
        assert run.xla and run.resume


def test_seeds_are_trainings_of_their_own_and_the_error_is_their_mean(trained):
    assert searched("--axes", "model.shortcut=A", "--seeds", "3") == 0
    assert [recipe.training.seed for recipe, _ in trained] == [0, 1, 2]
    [row] = rows()
    assert (row["error"], row["sd"], row["trainings"]) == ("7.10", "0.10", "3")
    assert len(row["directories"].split()) == 3


def test_seeds_begin_with_that_of_the_recipe(trained):
    assert searched("--axes", "model.shortcut=A", "--training.seed", "5", "--seeds", "2") == 0
    assert [recipe.training.seed for recipe, _ in trained] == [5, 6]


def test_what_is_trained_is_not_trained_again(trained):
    assert searched("--axes", "model.shortcut=A,B") == 0
    assert searched("--axes", "model.shortcut=A,B") == 0
    assert searched("--axes", "model.shortcut=C,B,A", "--seeds", "2") == 0
    assert [(recipe.model.shortcut, recipe.training.seed) for recipe, _ in trained] == [
        ("A", 0),
        ("B", 0),
        ("C", 0),
        ("C", 1),
        ("B", 1),
        ("A", 1),
    ]
    assert [row["error"] for row in rows()] == ["6.05", "7.05", "8.05"]


def test_a_failed_training_is_told_with_its_reason_and_tried_again(trained, capsys):
    words = ("--axes", "schedule.learning_rate=10,0.1,20", "--seeds", "2")
    assert searched(*words) == 0
    assert [recipe.schedule.learning_rate for recipe, _ in trained] == [10, 0.1, 0.1, 20]
    best, *failed = rows()
    assert (best["error"], best["reason"]) == ("7.05", "")
    told = "2 of 2 trainings: exit status 3: the loss of iteration 1 is nan"
    assert [(row["error"], row["reason"]) for row in failed] == [("", told)] * 2
    assert f"--schedule.learning-rate 20.0: {told}" in capsys.readouterr().out
    assert searched(*words) == 0
    assert [recipe.schedule.learning_rate for recipe, _ in trained[4:]] == [10, 20]


def test_nothing_trained_is_said_by_the_exit_status(trained):
    assert searched("--axes", "schedule.learning_rate=10,20") == 1
    assert "Nothing could be trained." in Path("found/report.md").read_text()


def test_a_combination_that_the_recipe_refuses_is_passed_over_and_told(trained):
    assert searched("--axes", "model.block=basic,bottleneck", "model.depth=8,11") == 0
    assert {(recipe.model.block, recipe.model.depth) for recipe, _ in trained} == {("basic", 8), ("bottleneck", 11)}
    refused = [row for row in rows() if row["reason"]]
    assert [(row["model.block"], row["model.depth"]) for row in refused] == [("basic", "11"), ("bottleneck", "8")]
    assert all(row["reason"].startswith("refused: `depth` must be") for row in refused)


def test_hyperband_shortens_the_schedule(trained):
    words = ("--search", "hyperband", "--rungs", "2", "--axes", "optimizer.weight_decay=1e-5..1e-3:log")
    assert searched(*words, "--schedule.scale", "0.5") == 0
    scales = [recipe.schedule.scale for recipe, _ in trained]
    assert scales == [pytest.approx(0.5 / 3)] * 3 + [0.5] * 3
    assert [row["share of the schedule"] for row in rows()] == ["1"] * 3 + ["0.333"] * 3


@pytest.mark.parametrize("rungs", [1, 2, 3])
def test_hyperband_begins_with_as_many_points_as_are_asked_of_the_axes(trained, rungs):
    ranges = {"optimizer.weight_decay": (1e-5, 1e-3, "log")}
    points = oracles.search(lambda values, share: 50.0, {}, ranges, kind="hyperband", rungs=rungs)
    assert len({values["optimizer.weight_decay"] for values, _ in points}) == tune.hyperband_points(rungs)


def test_a_study_is_told_in_the_layout_of_the_paper(trained):
    assert searched(recipe="digits-shortcuts") == 0
    assert section("In the paper's layout", "found/report.md")[:6] == [
        "| model | top-1 err. | top-5 err. | parameters | multiply-adds |",
        "| --- | --- | --- | --- | --- |",
        f"| plain-8 | 9.00 | 0.90 | {size(None)} |",
        f"| ResNet-8 A | 7.00 | 0.70 | {size('A')} |",
        f"| ResNet-8 B | 6.00 | 0.60 | {size('B')} |",
        f"| ResNet-8 C | 8.00 | 0.80 | {size('C')} |",
    ]
    assert "Beyond the noise?" not in Path("found/report.md").read_text(), "one seed tells nothing of noise"


def test_a_study_of_few_classes_has_no_top_5_error(trained, monkeypatch):
    monkeypatch.setitem(globals(), "invented_result", functools.partial(invented_result, class_names=list("abc")))
    assert searched(recipe="digits-shortcuts") == 0
    assert (
        section("In the paper's layout", "found/report.md")[0] == "| model | top-1 err. | parameters | multiply-adds |"
    )


def test_a_shortened_schedule_is_marked(trained):
    assert searched("--axes", "model.shortcut=A,B") == 0
    assert "of the schedule" not in Path("found/report.md").read_text()
    assert searched("--axes", "model.shortcut=A,B", "--schedule.scale", "0.125") == 0
    assert "Trained for 1/8 of the schedule: not comparable with published" in Path("found/report.md").read_text()


def section(title: str, path: str) -> list[str]:
    """The lines of a report below a title."""
    return Path(path).read_text().partition(f"## {title}\n\n")[2].splitlines()


def size(shortcut) -> str:
    """Parameters and multiply-adds of ResNet-8 on digits, as the layout shows them."""
    architecture = RECIPES["digits-resnet8"].model.architecture
    counts = architectures.count(architecture, shortcut=shortcut, input_shape=(8, 8, 1), classes=10)
    return f"{counts.trainable:,} | {counts.multiply_adds:,}"


def test_seeds_give_the_layout_a_spread(trained):
    assert searched("--seeds", "3", recipe="digits-shortcuts") == 0
    assert section("In the paper's layout", "found/report.md")[3].startswith(
        "| ResNet-8 A | 7.10 ± 0.10 | 0.71 ± 0.01 |"
    )


def test_differences_are_held_against_the_noise(trained, monkeypatch):
    monkeypatch.setitem(ERRORS, "A", 6.08)
    assert searched("--seeds", "3", recipe="digits-shortcuts") == 0
    explained, _, *table = section("Beyond the noise?", "found/report.md")
    assert "all 3 hold at once with 95% confidence" in explained
    rows = {row.split(" | ")[0]: row.strip("| ").split(" | ")[1:] for row in table[2:]}
    # Deviations of 0.1 in both and 4 degrees of freedom: 0.1 * sqrt(2/3) * t(1 - 0.05/3/2) = 0.323.
    assert rows == {
        "| A": ["+0.08", "-0.24", "+0.40", "no"],
        "| C": ["+2.00", "+1.68", "+2.32", "yes"],
        "| None": ["+3.00", "+2.68", "+3.32", "yes"],
    }


def test_equal_errors_of_all_seeds_are_compared_as_they_are():
    results = ({"splits": {"validation": {"top1_error": error}}} for error in (5.0, 5.0, 6.0, 6.0))
    best, other = (trials.Outcome({"model.depth": 8}, 1.0, (), "", (next(results), next(results))) for _ in range(2))
    assert report.comparison(best, other, 0.95)["beyond the noise"] == "yes"
    assert report.comparison(best, best, 0.95)["beyond the noise"] == "no"


def test_other_axes_have_no_layout_in_the_paper(trained):
    assert searched("--axes", "model.shortcut=A,B", "schedule.learning_rate=0.1,0.2") == 0
    assert "paper's layout" not in Path("found/report.md").read_text()


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_study_has_a_recipe_and_axes_that_it_accepts(study):
    assert study.recipe in RECIPES
    axes.check(RECIPES[study.recipe], axes.read(study.axes))


def test_studies_and_recipes_are_listed(capsys):
    assert commands.status(tune.main, "--list") == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in (*STUDIES, *RECIPES))


@pytest.mark.parametrize("status", [75, 130])
def test_a_search_stops_with_its_training_and_continues(trained, monkeypatch, status, capsys):
    going = trials.start
    stopping = iter([False, True])
    monkeypatch.setattr(trials, "start", lambda *parts: status if next(stopping) else going(*parts))
    assert searched("--axes", "model.shortcut=A,B,C") == status
    assert "the same command continues" in capsys.readouterr().err
    assert not Path("found/report.md").exists()
    monkeypatch.setattr(trials, "start", going)
    assert searched("--axes", "model.shortcut=A,B,C") == 0
    assert [recipe.model.shortcut for recipe, _ in trained] == ["A", "B", "C"]


def test_two_processes_do_not_train_the_same(trained, monkeypatch):
    going = trials.start

    def slowly(*parts):
        time.sleep(0.3)
        return going(*parts)

    monkeypatch.setattr(trials, "start", slowly)
    plan = trials.Plan(("python", "train.py"), "digits-resnet8", {}, RECIPES["digits-resnet8"], 1, Path("found"))
    Path("found/trials").mkdir(parents=True)
    [trial] = plan.trials({"model.shortcut": "B"})
    told: list[str] = []
    threads = [threading.Thread(target=trial.train, args=(told.append,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert trial.directory.finished
    assert told == [f"waits for the process that trains {trial.directory.path}"]


def test_a_sigterm_between_trainings_ends_the_search_with_the_status_of_one_within(trained, monkeypatch, capsys):
    going = trials.start

    def start(*parts):
        status = going(*parts)
        os.kill(os.getpid(), signal.SIGTERM)
        return status

    monkeypatch.setattr(trials, "start", start)
    assert searched("--axes", "model.shortcut=A,B,C") == 75
    assert len(trained) == 1
    assert "the same command continues" in capsys.readouterr().err


def test_points_are_counted(trained, capsys):
    assert searched("--axes", "model.shortcut=A,B,C") == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.endswith("…")]
    assert [line.partition("]")[0][:7] for line in told] == ["[1 of 3", "[2 of 3", "[3 of 3"]
    assert told[0] == "[1 of 3] --model.shortcut A …"
    assert searched("--search", "random", "--trials", "2", "--axes", "schedule.learning_rate=0.1..0.5") == 0
    assert "[2 of 2" in capsys.readouterr().out
    assert searched("--search", "hyperband", "--rungs", "2", "--axes", "schedule.learning_rate=0.1..0.5") == 0
    assert "[6 of 6" in capsys.readouterr().out


def test_a_search_that_others_share_is_not_counted(trained, monkeypatch):
    for name in tune.SHARED:
        monkeypatch.setenv(name, "1")
    asked = tune.read("digits-shortcuts", [], "")
    assert tune.progress_of(asked) is None


def test_the_end_says_what_to_do_with_the_best_point(trained, capsys):
    assert searched("--axes", "model.shortcut=A,B", "--data.holdout", "100") == 0
    best = rows()[0]["directories"]
    lines = [line.split() for line in capsys.readouterr().out.partition("next, with the best point\n")[2].splitlines()]
    assert [line[2] for line in lines] == [f"found/{best}", f"found/{best}", f"found/{best}/recipe.json"]
    assert [Path(line[1]).name for line in lines] == ["evaluate.py", "report.py", "train.py"]
    recipe, run = recipe_line.read(lines[2][2:], "")
    assert recipe.data.holdout == 0 and recipe.model.shortcut == "B"
    assert not run.directory_for(recipe).exists()
    assert searched("--axes", "model.shortcut=A") == 0
    assert "train.py" not in capsys.readouterr().out.partition("next, ")[2], "nothing was held out"
    assert searched("--axes", "schedule.learning_rate=10") == 1
    assert "next, " not in capsys.readouterr().out


def test_an_axis_may_have_lists_of_words_also_an_empty_one():
    [axis] = axes.read(["data.augmentation=pad-crop flip,flip,"])
    values = [axis.value(word) for word in axis.words]
    assert values == [("pad-crop", "flip"), ("flip",), ()]
    for value in values:
        words = axes.flag("data.augmentation", value)
        assert words == ("--data.augmentation", *value)
        recipe, _ = recipe_line.read(["cifar10-resnet20", *words, "--training.seed", "1"], "")
        assert recipe.data.augmentation == value


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--axes model.shortcutt=A", "'model.shortcutt' is no field of a recipe. Did you mean 'model.shortcut'?"),
        (
            "--axes data.augmentation=pad-crop,flop",
            "Received: data.augmentation=('flop',). Did you mean 'flip'?",
        ),
        ("--axes model.shortcut", "`axes` must be NAME=VALUE,VALUE… such as model.shortcut=A,B"),
        ("--axes model.shortcut=A model.shortcut=B", "must name each field once. Received: model.shortcut twice"),
        ("--axes model.depth=8,08", "must have different values. Received: 8, 08"),
        ("--axes model.depth=8,21", "`axes` model.depth=21 is never possible: `depth` must be 6n+2"),
        ("--axes optimizer.momentum=0.5..2 --search random", "`axes` optimizer.momentum=2.0 is never possible"),
        ("--axes optimizer.momentum=0.5..0.9", "`axes` optimizer.momentum must be values with search='grid'"),
        ("--axes optimizer.momentum=0.9..0.5 --search random", "must be LOW..HIGH with LOW below HIGH"),
        ("--axes optimizer.momentum=0..0.5:log --search random", "LOW below HIGH, and above 0 with :log"),
        ("--axes model.shortcut=A..C --search random", "it is no field of numbers"),
        ("--axes optimizer.global_clipnorm=None..1 --search random", "must be a range of numbers. Received: None"),
        ("", "`axes` must name at least one field, such as model.shortcut=A,B. Only studies have axes (--axes)"),
        ("--axes model.shortcut=A,B --search gird", "Did you mean 'grid'? (--search)"),
        ("--axes model.shortcut=A,B --trials 0", "`trials` must be at least 1. Received: trials=0 (--trials)"),
        ("--axes model.shortcut=A,B --rungs 2", "`rungs` is for search='hyperband'. Received: search='grid' (--rungs)"),
        ("--axes model.shortcut=A,B --search hyperband", "must have 17 points or more with 3 rungs of hyperband"),
        ("--axes optimizer.momentum=0.5..0.9 --search hyperband --trials 3", "`trials` is not for"),
        (
            "--axes model.shortcut=A,B --run.data-directory /none",
            "must be a directory. Received: /none",
        ),
        ("--axes model.shortcut=A,B --run.directory here", "`run.directory` is for one run"),
        ("--axes model.shortcut=A,B --run.resume", "`run.resume` is for one run"),
        ("--axes model.shortcut=A,B --run.strategy multi_worker", "must be that of one process"),
        ("--axes model.shortcut=A,B --data.holdout 5000", "below the 1437 training images of digits"),
        ("--axes model.shortcut=A,B --model.dept 8", "There is no --model.dept. Did you mean --model.depth?"),
        ("--axes model.shortcut=A,B --axes model.depth=8", "--axes must be given once. Received: twice"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(trained, capsys, words, told):
    assert searched(*words.split()) == 2
    output = capsys.readouterr()
    assert told in re.sub(r"[\s│]+", " ", output.err)
    assert output.out == ""
    assert not trained
    assert not Path("found").exists()


def test_the_recipe_of_a_run_is_searched(trained):
    recipe = replace(RECIPES["digits-resnet8"], name="mine")
    run = invented_run(Path("run"), recipe)
    assert searched("--axes", "model.shortcut=A,B", recipe="run") == 0
    assert {given.name for given, _ in trained} == {"mine"}
    assert run.read_result()["splits"]["validation"]["top1_error"] == 8.0


def test_an_unknown_recipe_is_refused(trained, capsys):
    assert searched("--axes", "model.shortcut=A,B", recipe="digits-resnet9") == 2
    assert "Did you mean 'digits-resnet8'?" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_directory_of_something_else_is_left_alone(trained, capsys, kind):
    if kind == "file":
        Path("found").write_text("mine")
    else:
        Path("found").mkdir()
        Path("found/report.md").write_text("mine")
    assert searched("--axes", "model.shortcut=A,B") == 2
    assert "Choose another `directory` (--directory)" in capsys.readouterr().err
    assert (Path("found") if kind == "file" else Path("found/report.md")).read_text() == "mine"


def test_half_of_the_variables_of_a_shared_search_are_refused(trained, monkeypatch, capsys):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert searched("--axes", "model.shortcut=A,B") == 2
    assert "Not set: KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT" in capsys.readouterr().err


TINY = ("--schedule.scale", "0.01", "--training.validate-every", "10")


@pytest.mark.slow
def test_a_real_search_trains_what_it_reports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert searched("--axes", "model.shortcut=A,B", "schedule.learning_rate=0.1,1e30", *TINY) == 0
    assert sorted(row["reason"][:13] for row in rows()) == ["", "", "exit status 3", "exit status 3"]
    for row in rows()[:2]:
        directory = RunDirectory(Path("found") / row["directories"])
        network = keras.saving.load_model(directory.model)
        assert sum(weight.numpy().size for weight in network.trainable_weights) == int(row["parameters"])
        recipe = Recipe.from_json(directory.recipe.read_text())
        assert directory.path.name.endswith(recipe.fingerprint)
    marks = {path: path.stat().st_mtime_ns for path in Path("found/trials").glob("*/result.json")}
    assert searched("--axes", "model.shortcut=A,B", *TINY) == 0
    assert {path: path.stat().st_mtime_ns for path in marks} == marks
    assert len(rows()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_search_takes_its_training_with_it_and_continues_where_that_was(tmp_path, number):
    """Long enough that it could not have begun anew in the time that it is given."""
    words = ["digits-resnet8", "--axes", "model.shortcut=A,B", "--directory", str(tmp_path / "found")]
    words += ["--schedule.scale", "0.2", "--run.checkpoint-every", "20", "--run.iterations-per-call", "5"]
    command = [sys.executable, str(ROOT / "recipes/tune.py"), *words]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        begun = waited_for(lambda: list((tmp_path / "found/trials").glob("*/checkpoints/ckpt-*.npz")))[0].parents[1]
        first.send_signal(number)
        told = first.communicate(timeout=60)[0]
        assert first.returncode == {signal.SIGTERM: 75, signal.SIGINT: 130, signal.SIGKILL: -9}[number], told
        if number != signal.SIGKILL:
            assert RunDirectory(begun).checkpoints.exists() and not RunDirectory(begun).finished
            assert "the same command continues" in told
            assert not processes_of(begun)
    finally:
        first.kill()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(list((tmp_path / "found/trials").glob("*/result.json"))) == 2
    starts = RunDirectory(begun).starts()
    assert len(starts) == 2
    assert "continues after iteration" in begun.with_name(f"{begun.name}.log").read_text()
    assert not processes_of(begun)


def waited_for(condition):
    until = time.monotonic() + 120
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def processes_of(run: Path) -> list[str]:
    """The processes that have files of a run open."""
    held = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(str(run)):
                held.append(link.parts[2])
    return held


@pytest.mark.slow
@pytest.mark.skipif(not child_process.forks_are_safe(), reason="trainings are no forks here")
def test_a_fork_trains_as_a_new_process_does_to_the_last_bit(tmp_path):
    """So that a search need not start TensorFlow anew for each training."""
    words = ["digits-resnet8", *TINY, "--run.directory"]
    starts = {"new": child_process.in_new_process, "fork": child_process.in_fork, "again": child_process.in_fork}
    child_process.prepare_forks(trials.IMPORTED)
    for name, start in starts.items():
        command = [sys.executable, str(ROOT / "recipes/train.py"), *words, str(tmp_path / name)]
        with (tmp_path / f"{name}.log").open("wb") as stream:
            assert child_process.run(command, stream, start) == 0
    new, *forks = (RunDirectory(tmp_path / name) for name in starts)
    for fork in forks:
        assert fork.history.read_bytes() == new.history.read_bytes()
        assert fork.read_result()["splits"] == new.read_result()["splits"]
        values = [keras.saving.load_model(run.model).get_weights() for run in (new, fork)]
        assert all(np.array_equal(*pair) for pair in zip(*values, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    [port] = free_ports(1)
    words = ["digits-resnet8", "--axes", "model.shortcut=None,A,B,C", "--directory", str(tmp_path / "found"), *TINY]
    shared = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(ROOT / "recipes/tune.py"), *words],
            env={**os.environ, **shared, "KERASTUNER_TUNER_ID": name},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("chief", "worker-1", "worker-2")
    }
    try:
        told = {name: process.communicate(timeout=800)[0] for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    assert [process.returncode for process in processes.values()] == [0, 0, 0], told
    trained = [re.findall(r"shortcut (\w+) …", told[name]) for name in ("worker-1", "worker-2")]
    assert all(trained)
    assert sorted([*trained[0], *trained[1]]) == ["A", "B", "C", "None"]
    assert told["chief"].count("…") == 0
    assert (tmp_path / "found/report.md").read_text() in told["chief"]
    with (tmp_path / "found/report.csv").open() as file:
        errors = [float(row["error"]) for row in csv.DictReader(file)]
    assert len(errors) == 4 and errors == sorted(errors)
