"""Runs that were asked to make room, and how they go on: here, elsewhere, changed, and after the end."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import bundles
import train
from catalog import RECIPES
from checkpoint_content import content
from finished_runs import finished_run
from keras_resnet.config.recipe import DataConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.data.datasets import loading
from keras_resnet.experiment import backends, build
from keras_resnet.experiment import run as experiment
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.checkpoints import Checkpoints
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.backend import TensorFlowBackend
from keras_resnet.training.tensorflow.processes import StrategyProcesses

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel", holdout=137),
    schedule=ScheduleConfig(iterations=20, boundaries=(15,)),
    training=TrainingConfig(global_batch_size=32, log_every=5, validate_every=10),
)
CHANGED = replace(RECIPE, schedule=replace(RECIPE.schedule, learning_rate=0.05))
CHANGE = "schedule.learning_rate: 0.1 -> 0.05"


class At(keras.callbacks.Callback):
    """Sends a signal to this process after a call."""

    def __init__(self, iteration: int, number: int):
        super().__init__()
        self.iteration, self.number = iteration, number

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.iteration:
            os.kill(os.getpid(), self.number)


def run(directory: Path, **changes) -> Run:
    return Run(directory=str(directory), iterations_per_call=20, checkpoint_every=5, **changes)


def stop(directory: Path, **changes) -> RunDirectory:
    """A run that was asked to make room after iteration 15 of 20."""
    assert experiment.train(RECIPE, run(directory, **changes), [At(15, signal.SIGTERM)]) == experiment.AGAIN == 75
    return RunDirectory(directory)


def traces(directory: Path) -> dict[str, tuple]:
    """Content and age of every file in a directory; of folders the names, as the lock of a run comes and goes."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else ()
        for path in directory.rglob("*")
    }


def result(directory: RunDirectory) -> dict:
    """What was measured, but for the hour's speed."""
    return {**directory.read_result(), "images_per_second": 0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunDirectory:
    """A run that nothing disturbed."""
    directory = RunDirectory(tmp_path_factory.mktemp("whole"))
    assert experiment.train(RECIPE, run(directory.path)) == 0
    return directory


@pytest.fixture
def mirrored(monkeypatch, two_devices) -> list[tuple]:
    """The strategy of that name has both devices of the tests; the list tells with what it was asked for."""
    asked: list[tuple] = []
    monkeypatch.setitem(strategies.STRATEGIES, "mirrored", lambda *words: asked.append(words) or two_devices)
    return asked


@pytest.mark.slow
def test_who_wants_the_machine_back_gets_it_with_a_checkpoint_and_a_command(tmp_path, capsys):
    directory = stop(tmp_path / "run")
    told = capsys.readouterr().out
    assert "stopped after iteration 15. To continue: " in told
    assert told.rstrip().endswith(f"`resume=True` with directory={str(directory.path)!r}")
    assert content(directory.checkpoints, 15)["optimizer/SGD/iteration"] == 15
    assert not directory.finished and not directory.model.exists()


@pytest.mark.slow
def test_the_directory_alone_continues_a_run_as_it_was_started(tmp_path, capsys, mirrored):
    """To the bits of one that was never stopped, on the same devices."""
    options = {"strategy": "mirrored", "replicas": 2, "keep_checkpoints": 7}
    expected = RunDirectory(tmp_path / "whole")
    assert experiment.train(RECIPE, run(expected.path, **options)) == 0
    directory = stop(tmp_path / "run", **options)
    capsys.readouterr()
    mirrored.clear()
    assert train.main([str(directory.path)]) == 0
    assert "continues after iteration 15\n" in capsys.readouterr().out
    assert mirrored == [(2, 32, 300.0)]
    assert directory.history.read_bytes() == expected.history.read_bytes()
    assert result(directory) == result(expected)
    for name, value in content(expected.checkpoints, 20).items():
        np.testing.assert_array_equal(content(directory.checkpoints, 20)[name], value, err_msg=name)
    first, second = directory.starts()
    assert first["run"] == second["run"] == run(directory.path, **options).remembered()
    assert (first["replicas"], first["workers"], first["per_replica_batch_size"]) == (2, 1, 16)


@pytest.mark.slow
def test_the_directory_alone_continues_a_run_with_its_data_and_its_flags(tmp_path, monkeypatch, capsys):
    (tmp_path / "images").mkdir()
    directory = stop(tmp_path / "run", data_directory=str(tmp_path / "images"), keep_checkpoints=1)
    asked = []
    load = build.load_data
    monkeypatch.setattr(build, "load_data", lambda recipe, run, tell: asked.append(run) or load(recipe, run, tell))
    assert train.main([str(directory.path), "--run.keep-checkpoints", "2"]) == 0
    assert "continues after iteration 15\n" in capsys.readouterr().out
    [received] = asked
    assert received == run(directory.path, resume=True, data_directory=str(tmp_path / "images"), keep_checkpoints=2)
    assert Recipe.from_json(directory.recipe.read_text()) == RECIPE


def test_a_finished_run_says_so_and_nothing_on_the_disk_changes(tmp_path, capsys):
    finished = finished_run(tmp_path, RECIPE)
    before = traces(finished.path)
    assert train.main([str(finished.path)]) == 0
    assert capsys.readouterr().out.startswith("This run is finished.")
    assert experiment.train(RECIPE, run(finished.path, resume=True)) == 0
    assert traces(finished.path) == before


@pytest.mark.slow
def test_a_changed_recipe_is_refused_unless_changes_are_accepted(tmp_path, capsys):
    directory = stop(tmp_path / "run")
    before = traces(directory.path)
    with pytest.raises(ValueError, match=CHANGE):
        experiment.train(CHANGED, run(directory.path, resume=True))
    assert traces(directory.path) == before
    assert experiment.train(CHANGED, run(directory.path, resume=True, accept_changes=True)) == 0
    assert "continues after iteration 15\n" in capsys.readouterr().out
    assert Recipe.from_json(directory.recipe.read_text()) == CHANGED
    first, second = directory.starts()
    assert "changes" not in first and second["changes"] == [CHANGE]
    rates = [line.split(",")[1] for line in directory.history.read_text().splitlines()[1:]]
    assert [float(rate) for rate in rates] == pytest.approx([0.1, 0.1, 0.1, 0.005])
    assert result(directory)["fingerprint"] == CHANGED.fingerprint


@pytest.mark.slow
def test_checkpoints_of_another_recipe_are_refused_where_only_they_are_shared(tmp_path, capsys):
    shared = {"checkpoint_directory": str(tmp_path / "shared")}
    stop(tmp_path / "one", **shared)
    before = traces(tmp_path / "shared")
    with pytest.raises(ValueError, match=f"the checkpoints are of another recipe. (?s:.*){CHANGE}"):
        experiment.train(CHANGED, run(tmp_path / "two", resume=True, **shared))
    assert traces(tmp_path / "shared") == before
    capsys.readouterr()
    asked = run(tmp_path / "three", resume=True, accept_changes=True, **shared)
    assert experiment.train(CHANGED, asked) == 0
    assert "continues after iteration 15\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_recipe_whose_network_the_checkpoints_do_not_fit_leaves_the_run_as_it_was(tmp_path):
    """Also where changes are accepted: these cannot be."""
    directory = stop(tmp_path / "run")
    before = traces(directory.path)
    deeper = replace(RECIPE, model=replace(RECIPE.model, depth=14))
    with pytest.raises(ValueError, match="is a checkpoint of another network"):
        experiment.train(deeper, run(directory.path, resume=True, accept_changes=True))
    assert traces(directory.path) == before


def test_checkpoints_are_not_continued_unasked(tmp_path):
    shared = {"checkpoint_directory": str(tmp_path / "shared")}
    processes = StrategyProcesses(strategies.one_device())
    data = loading.load("digits", holdout=137)
    values = backends.make(TensorFlowBackend, processes, RECIPE, run(tmp_path / "one"), data).read()
    Checkpoints(tmp_path / "shared").save(15, values, {"about": {"recipe": RECIPE.hyperparameters()}})
    before = traces(tmp_path)
    with pytest.raises(
        FileExistsError, match=r"shared already holds checkpoints: continue from them with `resume=True`"
    ):
        experiment.train(RECIPE, run(tmp_path / "two", **shared))
    assert traces(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("place", ["ram://continued-run", "{}/shared"])
def test_a_fresh_machine_needs_the_checkpoints_only(tmp_path, whole, place, capsys):
    shared = {"checkpoint_directory": place.format(tmp_path)}
    one = stop(tmp_path / "one", **shared)
    assert not one.checkpoints.exists()
    other = RunDirectory(tmp_path / "other")
    assert experiment.train(RECIPE, run(other.path, resume=True, **shared)) == 0
    assert "continues after iteration 15\n" in capsys.readouterr().out
    assert other.history.read_bytes() == whole.history.read_bytes()
    assert other.history.read_bytes().startswith(one.history.read_bytes())
    assert result(other) == result(whole)
    # Also one that comes when all is done.
    last = RunDirectory(tmp_path / "last")
    assert experiment.train(RECIPE, run(last.path, resume=True, **shared)) == 0
    assert last.history.read_bytes() == whole.history.read_bytes()
    assert result(last) == result(whole)


@pytest.mark.slow
def test_other_devices_continue_a_run_and_say_so(tmp_path, capsys, mirrored):
    directory = stop(tmp_path / "run", strategy="mirrored")
    capsys.readouterr()
    assert train.main([str(directory.path), "--run.strategy", "one_device"]) == 0
    told = capsys.readouterr().out
    assert "the number of replicas was 2 and is 1: a result as good, but not the same bits\n" in told
    assert [start["replicas"] for start in directory.starts()] == [2, 1]
    assert [line.split(",")[0] for line in directory.history.read_text().splitlines()[1:]] == ["5", "10", "15", "20"]


@pytest.mark.slow
def test_checkpoints_that_are_written_meanwhile_leave_the_same_files(tmp_path, whole):
    directory = RunDirectory(tmp_path / "run")
    assert experiment.train(RECIPE, run(directory.path, asynchronous_checkpoints=True)) == 0
    assert directory.history.read_bytes() == whole.history.read_bytes()
    assert result(directory) == result(whole)
    names = [sorted(file.name for file in each.checkpoints.iterdir()) for each in (directory, whole)]
    assert names[0] == names[1]
    for name, value in content(whole.checkpoints, 20).items():
        np.testing.assert_array_equal(content(directory.checkpoints, 20)[name], value, err_msg=name)


@pytest.mark.slow
def test_a_run_of_a_version_before_0_4_comes_to_the_same_bits(tmp_path, whole):
    """Its checkpoints give way to those of today."""
    directory = stop(tmp_path / "run")
    bundles.make_old(directory.checkpoints)
    assert any(file.suffix == ".index" for file in directory.checkpoints.iterdir())
    assert experiment.train(RECIPE, run(directory.path, resume=True, keep_checkpoints=1)) == 0
    assert directory.history.read_bytes() == whole.history.read_bytes()
    assert result(directory) == result(whole)
    names = {file.name for file in directory.checkpoints.iterdir()}
    assert "ckpt-20.npz" in names
    for name, value in content(whole.checkpoints, 20).items():
        np.testing.assert_array_equal(content(directory.checkpoints, 20)[name], value, err_msg=name)
