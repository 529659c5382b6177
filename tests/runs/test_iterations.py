"""The iterations that a run has done, wherever it keeps its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invented_runs import invented_result
from keras_resnet.runs import iterations
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.runs.history import History, Row


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.create(json.dumps({"name": "tiny"}), {})
    return directory


def checkpoint(directory: Path, iteration: int) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"ckpt-{iteration}.npz").touch()


def test_a_run_that_has_only_begun_has_done_none(run):
    assert iterations.reached(run) == 0


def test_a_run_that_was_interrupted_before_its_first_row_has_those_of_its_checkpoint(run):
    for iteration in (9, 58):
        checkpoint(run.checkpoints, iteration)
    assert iterations.reached(run) == 58


def test_what_is_left_of_a_checkpoint_does_not_count(run):
    checkpoint(run.checkpoints, 58)
    (run.checkpoints / "ckpt-70.data-00000-of-00001").touch()
    (run.checkpoints / "ckpt-80.index.tempstate17").touch()
    (run.checkpoints / ".ckpt-90.npz.17.unfinished").touch()
    assert iterations.reached(run) == 58


def test_checkpoints_of_earlier_versions_count(run):
    run.checkpoints.mkdir()
    for suffix in ("data-00000-of-00001", "index"):
        (run.checkpoints / f"ckpt-70.{suffix}").touch()
    assert iterations.reached(run) == 70


def test_of_two_checkpoints_of_one_iteration_the_one_of_today_is_meant():
    assert iterations.checkpoints(["ckpt-7.npz", "ckpt-7.index", "ckpt-10.index"]) == {
        7: "ckpt-7.npz",
        10: "ckpt-10.index",
    }


def test_a_row_after_the_last_checkpoint_counts(run):
    checkpoint(run.checkpoints, 58)
    History(run.history).append(Row(100, 0.1, 2.0, 70.0))
    assert iterations.reached(run) == 100


def test_checkpoints_may_lie_elsewhere(run, tmp_path):
    checkpoint(tmp_path / "disk", 58)
    places = (str(tmp_path / "disk"), "gs://bucket/checkpoints", str(tmp_path / "gone"), None)
    starts = [{"run": {"checkpoint_directory": place}} for place in places]
    found = []
    for start in starts:
        run.environment.write_text(json.dumps([{}, start]))
        found.append(iterations.reached(run))
    assert found == [58, 0, 0, 0]


def test_a_finished_run_has_those_of_its_result(run):
    checkpoint(run.checkpoints, 58)
    run.write_result({**invented_result(), "iterations": 60})
    assert iterations.reached(run) == 60


def test_a_run_is_not_continued_to_an_end_that_it_has_passed(run):
    checkpoint(run.checkpoints, 58)
    iterations.check_not_beyond(run, 58)
    with pytest.raises(
        ValueError, match="run has done 58 iterations already, and the recipe ends at iterations=57: noth"
    ):
        iterations.check_not_beyond(run, 57)
