"""The command that puts the paper's tables and figures beside ours: its plan, what it trains, what it refuses."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import layer_responses
import report
import reproduce
import train
from catalog import RECIPES
from cli import program, recipe_line
from commands import status
from invented_runs import invented_evaluation, invented_run
from keras_resnet.config.recipe import Recipe
from keras_resnet.reproduction import pages
from keras_resnet.reproduction.items import ITEMS
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import Row

ROWS = [Row(i, 0.1, 2.0, 900 / i, 2.0, 1000 / i) for i in (100, 200, 300)]
SCRIPT = Path(reproduce.__file__)


class Trainings:
    """Stands for the subprocesses: leaves what they leave, except where a recipe is to fail."""

    def __init__(self):
        self.recipes: list[Recipe] = []
        self.measured: list[list[str]] = []
        self.statuses: dict[str, int] = {}

    def __call__(self, command: list[str]) -> int:
        script, words = Path(command[1]).name, command[2:]
        if script == "evaluate.py":
            self.measured.append(words)
            members = [self.of(word) for word in words[: words.index("--view")] if word != "--ensemble"]
            view, directory = (words[words.index(flag) + 1] for flag in ("--view", "--output"))
            invented_evaluation(Path(directory), members, view, 20.0)
            return 0
        recipe, run = recipe_line.read(words, "")
        self.recipes.append(recipe)
        if recipe.name in self.statuses:
            return self.statuses[recipe.name]
        invented_run(run.directory_for(recipe), recipe, 8.0 + recipe.training.seed, rows=ROWS)
        return 0

    @staticmethod
    def of(path: str) -> Recipe:
        return Recipe.from_json(RunDirectory(Path(path)).recipe.read_text())


@pytest.fixture
def trainings(monkeypatch, tmp_path, request) -> Trainings:
    """The stand-in; figures are drawn only where a test asks for `drawing`."""
    monkeypatch.chdir(tmp_path)
    made = Trainings()
    if "drawing" not in request.fixturenames:
        monkeypatch.setattr(pages, "drawn", lambda draw: {".png": b"picture", ".svg": b"picture"})
    monkeypatch.setattr(reproduce, "run", made)
    return made


@pytest.fixture
def drawing() -> None:
    """Has figures drawn."""


def there(path: Path = Path()) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_what_is_missing_is_trained_once_after_the_plan_and_then_found(trainings, capsys):
    kept = invented_run(Path("runs/old"), RECIPES["cifar10-resnet20"], 8.5, speed=1000.0)
    assert status(reproduce.main, "table6", "--seeds", "2") == 0
    told = capsys.readouterr().out
    assert f"  cifar10-resnet20 A   seed 0  finished  {kept.path}" in told
    assert "seed 1  0 of 64,000 iterations, about 2.3 hours  runs/cifar10-resnet20-" in told
    assert "1 of 12 trainings are finished; the time that is left: about 2.3 hours for 1, unknown for 10" in told
    assert told.index("1 of 12 trainings") < told.index("$ ") < told.index("| ResNet-20 |")
    asked = [(recipe.model.depth, recipe.training.seed) for recipe in trainings.recipes]
    assert asked == [
        (depth, seed) for depth in (20, 32, 44, 56, 110, 1202) for seed in (0, 1) if (depth, seed) > (20, 0)
    ]
    assert "| ResNet-20 | 8.75 | 8.75 ± 0.35 | +0.00 | 2 | 10,000 |  |" in told
    assert set(there(Path("reports"))) == {"reports/table6.md", "reports/table6.csv"}
    before, trained = there(), len(trainings.recipes)
    assert status(reproduce.main, "table6", "--seeds", "2") == 0
    assert len(trainings.recipes) == trained, "nothing is missing any more"
    assert there() == before


def test_a_dry_run_prints_the_plan_and_changes_nothing(trainings, capsys):
    unfinished = invented_run(Path("runs/half"), RECIPES["cifar10-plain20"], None, rows=ROWS)
    with unfinished.history.open("a") as file:
        file.write("400,0.1")
    unfinished.checkpoints.mkdir()
    (unfinished.checkpoints / "ckpt-300.npz").touch()
    before = there()
    assert status(reproduce.main, "all", "--dry-run") == 0
    assert there() == before and not Path("reports").exists()
    assert not trainings.recipes and not trainings.measured
    told = capsys.readouterr().out
    assert "  cifar10-plain20      seed 0  300 of 64,000 iterations, time unknown  runs/half" in told
    assert all(item.title in told for item in ITEMS.values())
    assert "measurements after training: 7 (10-crop), time unknown" in told


def test_a_dry_run_answers_without_a_framework(tmp_path):
    code = (
        f"import sys; sys.path[:0] = [{str(SCRIPT.parent)!r}]; import reproduce; "
        "reproduce.main(['all', '--dry-run', '--no-train']); "
        "sys.exit(bool({'tensorflow', 'keras', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True).returncode == 0


def test_a_training_that_fails_leaves_the_others(trainings, capsys):
    trainings.statuses = {"cifar10-resnet32": 3}
    assert status(reproduce.main, "table6") == 1
    assert [recipe.model.depth for recipe in trainings.recipes] == [20, 32, 44, 56, 110, 1202]
    page = Path("reports/table6.md").read_text()
    assert "| ResNet-32 | 7.51 | not run |  | 0 of 1 |  |  |" in page
    assert "| ResNet-1202 | 7.93 | 8.00 | +0.07 | 1 | 10,000 |  |" in page
    assert "error: failed with exit status 3: " in capsys.readouterr().err


def test_what_failed_for_one_item_is_not_tried_again_for_the_next(trainings, monkeypatch):
    monkeypatch.setattr(reproduce, "NAMES", ("figure1", "table6", "figure6"))
    trainings.statuses = {"cifar10-resnet32": 3, "cifar10-plain20": 1}
    assert status(reproduce.main, "all") == 1
    tried = [recipe.fingerprint for recipe in trainings.recipes]
    assert len(tried) == len(set(tried)) == 10
    assert len(there(Path("reports"))) == 2 + 4 + 4


@pytest.mark.parametrize("code", [program.INTERRUPTED, program.AGAIN])
def test_a_training_that_was_stopped_stops_all_and_the_same_command_continues(trainings, code, capsys):
    trainings.statuses = {"cifar10-plain56": code}
    assert status(reproduce.main, "figure1") == code
    assert "the same command continues" in capsys.readouterr().err
    assert not Path("reports").exists()
    invented_run(Path("runs/half"), RECIPES["cifar10-plain56"], None, rows=ROWS)
    trainings.statuses, trainings.recipes = {}, []
    assert status(reproduce.main, "figure1") == 0
    assert [recipe.name for recipe in trainings.recipes] == ["cifar10-plain56"]
    assert RunDirectory(Path("runs/half")).finished, "continued where it was"


def test_only_the_networks_that_are_named_are_trained_and_the_others_show_as_not_run(trainings, capsys):
    assert status(reproduce.main, "figure6", "--networks", "plain-20", "ResNet-56") == 0
    assert [recipe.name for recipe in trainings.recipes] == ["cifar10-plain20", "cifar10-resnet56"]
    page = Path("reports/figure6.md").read_text()
    assert "| plain-20 |  | 8.00 |" in page and "| ResNet-20 | 8.75 | not run |" in page
    assert status(reproduce.main, "figure6", "--networks", "ResNet-20") == 0
    assert "| plain-20 |  | 8.00 |" in Path("reports/figure6.md").read_text(), "what is there counts all the same"
    capsys.readouterr()
    assert "`networks` must be some of plain-20, plain-56. Received: resnet20 (--networks)" in refused(
        capsys, "figure1", "--networks", "plain-20", "resnet20"
    )
    assert "`networks` must be some of none" in refused(capsys, "table1", "--networks", "ResNet-18")


def test_curves_are_drawn_and_a_scaled_study_is_marked(drawing, trainings, capsys):
    assert status(reproduce.main, "figure1", "--scale", "0.125", "--precision", "mixed_bfloat16") == 0
    assert {recipe.schedule.scale for recipe in trainings.recipes} == {0.125}
    assert {recipe.training.precision for recipe in trainings.recipes} == {"mixed_bfloat16"}
    page = Path("reports/figure1.md").read_text()
    assert "(1/8 of the schedule)" in page.splitlines()[0]
    assert "| plain-20 |  | 8.00 |  | 3.00 | 1 | 10,000 | 1/8 of the schedule; mixed_bfloat16 |" in page
    assert Path("reports/figure1.png").read_bytes().startswith(b"\x89PNG")
    assert "plain-20" not in capsys.readouterr().err
    assert status(reproduce.main, "figure1", "--no-train", "--overwrite") == 0
    assert "not run" in Path("reports/figure1.md").read_text(), "a scaled run is not the paper's"
    assert not Path("reports/figure1.png").exists()


@pytest.mark.parametrize("other", [("--scale", "0.125"), ("--precision", "mixed_bfloat16"), ("--runs", "elsewhere")])
def test_measurements_are_not_replaced_by_what_was_not_run(trainings, capsys, other):
    assert status(reproduce.main, "figure1") == 0
    before = there()
    assert status(reproduce.main, "figure1", "--no-train", *other) == 1
    assert there() == before
    assert "reports/figure1.csv has measurements of plain-20, plain-56, which" in capsys.readouterr().err


def test_a_page_that_was_changed_during_the_training_is_not_replaced(trainings, monkeypatch, capsys):
    assert status(reproduce.main, "figure1", "--no-train") == 0
    page = Path("reports/figure1.md")

    def changed(command):
        page.write_text("mine")
        return trainings(command)

    monkeypatch.setattr(reproduce, "run", changed)
    assert status(reproduce.main, "figure1") == 1
    assert page.read_text() == "mine"
    assert "reports/figure1.md, reports/figure1.csv would be replaced" in capsys.readouterr().err


def test_tables_of_photographs_are_measured_after_training_and_the_ensemble_together(trainings):
    assert status(reproduce.main, "table5", "--data-directory", ".", "--strategy", "mirrored") == 0
    [words] = trainings.measured
    assert words.count("--ensemble") == 1 and words.index("--view") == 7
    assert words[words.index("--view") + 1] == "multi-scale" and words[-2:] == ["--data-directory", "."]
    assert "| ResNet (ILSVRC'15) | 3.57 | 5.00 |  | 1 | 50,000 |  |" in Path("reports/table5.md").read_text()
    assert status(reproduce.main, "table3") == 0
    assert len(trainings.measured) == 8
    assert "| ResNet-34 C | 24.19 | 20.00 | -4.19 |" in Path("reports/table3.md").read_text()


def test_a_run_that_is_continued_keeps_its_devices(trainings, monkeypatch):
    asked = []

    def noted(command):
        asked.append(command)
        return trainings(command)

    monkeypatch.setattr(reproduce, "run", noted)
    invented_run(Path("runs/begun"), RECIPES["cifar10-plain20"], None)
    assert status(reproduce.main, "figure1", "--strategy", "mirrored") == 0
    begun, new = asked
    assert "runs/begun" in begun and "--run.strategy" not in begun
    assert new[-2:] == ["--run.strategy", "mirrored"]


def test_figure_7_measures_the_networks_of_the_runs(drawing, trainings, monkeypatch):
    from keras_resnet.inference import trained_network

    monkeypatch.setattr(trained_network, "load", lambda path: path)
    monkeypatch.setattr(layer_responses, "measure", lambda paths, **asked: {str(paths[0]): [("a", 1.0), ("b", 3.0)]})
    invented_run(Path("runs/one"), RECIPES["cifar10-plain20"], 9.0)
    assert status(reproduce.main, "figure7", "--no-train") == 0
    page = Path("reports/figure7.md").read_text()
    assert "| plain-20 |  | 9.00 |  | 2 | 2 | 1 | 10,000 |  |" in page and "![figure7](figure7.png)" in page
    assert not trainings.recipes


def test_table_1_needs_no_run(trainings):
    assert status(reproduce.main, "table1") == 0
    assert "| ResNet-18 A | 11,515,688 |" in Path("reports/table1.md").read_text()
    assert not trainings.recipes and not Path("runs").exists()


def refused(capsys, *arguments: object) -> str:
    before = there()
    assert status(reproduce.main, *arguments) == 2
    assert there() == before
    return capsys.readouterr().err.removeprefix("error: ").strip()


def test_what_makes_no_sense_is_refused_before_anything_is_trained(trainings, capsys):
    Path("file").write_text("mine")
    Path("reports").mkdir()
    Path("reports/figure1.md").write_text("mine")
    assert "Did you mean 'table1'?" in refused(capsys, "table7")
    assert "`seeds` must be at least 1. Received: seeds=0 (--seeds)" in refused(capsys, "figure1", "--seeds", "0")
    assert "`scale` must be positive" in refused(capsys, "table6", "--scale", "-1")
    assert "`scale` must be a finite number" in refused(capsys, "table6", "--scale", "nan")
    assert "`scaled_boundaries` must be increasing" in refused(capsys, "table6", "--scale", "0.00002")
    assert refused(capsys, "table6", "--runs", "file") == "file is a file. Choose another `runs` (--runs)"
    assert refused(capsys, "table6", "--output", "file") == "file is a file. Choose another `directory` (--output)"
    assert "file is a file. Choose another `directory`" in refused(capsys, "table6", "--output", "file/below/it")
    assert "`data_directory` must be a directory. Received: no (--data-directory)" in refused(
        capsys, "table6", "--data-directory", "no"
    )
    assert "reports/figure1.md would be replaced" in refused(capsys, "figure1")
    assert "reports/figure1.md would be replaced" in refused(capsys, "all")
    run = invented_run(Path("runs/damaged"), RECIPES["cifar10-resnet20"])
    run.result.write_text("{")
    assert "runs/damaged/result.json is damaged" in refused(capsys, "table6")
    run.result.unlink()
    run.history.write_text("a letter\n")
    assert "runs/damaged/history.csv is damaged in line 1" in refused(capsys, "table6")
    assert not trainings.recipes
    run.history.unlink()
    assert status(reproduce.main, "figure1", "--overwrite", "--no-train") == 0


def test_the_end_says_what_to_do_with_the_runs(trainings, capsys):
    assert reproduce.main(["table6", "--networks", "ResNet-20"]) == 0
    head, told = capsys.readouterr().out.split("next, with the runs\n")
    words = shlex.split(told)
    assert Path(words[1]).name == "report.py" and Path("reports/table6.md").is_file() and head
    assert report.main(words[2:]) == 0
    assert Path("reports/table6.html").is_file()


def test_a_sigterm_between_trainings_ends_the_study_with_the_status_of_one_within(trainings, monkeypatch, capsys):
    def run(command):
        status = trainings(command)
        os.kill(os.getpid(), signal.SIGTERM)
        return status

    monkeypatch.setattr(reproduce, "run", run)
    assert reproduce.main(["table6"]) == program.AGAIN
    assert len(trainings.recipes) == 1
    assert "the same command continues" in capsys.readouterr().err


@pytest.mark.slow
def test_figure_1_from_the_first_weights_to_the_picture(tmp_path, monkeypatch):
    """On a few random images, in this process."""
    from keras_resnet.experiment import build
    from stand_ins import stand_in

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "load_data", lambda recipe, *_: stand_in(recipe))
    monkeypatch.setattr(train.places, "require", lambda *_: None)
    monkeypatch.setattr(reproduce, "run", lambda command: train.main(command[2:]))
    for name, depth in (("cifar10-plain20", 8), ("cifar10-plain56", 14)):
        base = RECIPES[name]
        model, training = replace(base.model, depth=depth), replace(base.training, global_batch_size=8)
        monkeypatch.setitem(RECIPES, name, replace(base, model=model, training=training))
    assert reproduce.main(["figure1", "--scale", "0.0000625"]) == 0
    page = Path("reports/figure1.md").read_text()
    assert page.count("8 of 10,000 images counted; 1/16000 of the schedule; 8 of 50,000 training images") == 2
    assert Path("reports/figure1.png").stat().st_size > 0
    assert len(list(Path("runs").glob("*/model.keras"))) == 2
