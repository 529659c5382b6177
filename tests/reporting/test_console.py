"""What a run prints at its end, and how it is continued."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from invented_runs import ERRORS, invented_result
from keras_resnet.reporting import console
from keras_resnet.runs.directory import RunDirectory


def test_the_report_has_what_was_measured_and_where_it_lies(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_result(invented_result(splits={"validation": ERRORS, "test": {**ERRORS, "images": 10_000}}))
    lines = console.report(directory).splitlines()
    assert lines[:4] == [
        "split         images   top-1 error      loss",
        "validation       360         2.50%    0.5000",
        "test          10,000         2.50%    0.5000",
        "1,234 images per second",
    ]
    text = "\n".join(lines)
    assert all(str(file) in text for file in (directory.model, directory.curve, directory.result, directory.history))
    directory.write_result(invented_result(images_per_second=None))
    assert "per second" not in console.report(directory)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, False),
        ({"kept_iteration": 60, "best_iteration": 40, "best_validation_error": 1.25}, True),
        ({"kept_iteration": 40, "best_iteration": 40, "best_validation_error": 1.25}, False),
        ({"kept_iteration": 60, "best_iteration": 40, "best_validation_error": 2.5}, False),
        ({"best_iteration": 40, "best_validation_error": 1.25}, False),
        ({"kept_iteration": 60, "best_iteration": None, "best_validation_error": None}, False),
    ],
)
def test_an_iteration_that_was_better_than_what_is_kept_is_named(tmp_path, changes, told):
    directory = RunDirectory(tmp_path)
    directory.write_result(invented_result(**changes))
    line = "iteration 60 is kept, the last; iteration 40 had 1.25% validation error: training.keep=best keeps that one"
    assert (line in console.report(directory).splitlines()) == told


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        (
            "recipes/train.py",
            [
                "python recipes/predict.py 'my run' PICTURES",
                "python recipes/evaluate.py 'my run' --view center",
                "python recipes/export.py 'my run' --format saved-model --output 'my run/saved-model'",
            ],
        ),
        (
            "keras-resnet train",
            [
                "keras-resnet predict 'my run' PICTURES",
                "keras-resnet evaluate 'my run' --view center",
                "keras-resnet export 'my run' --format saved-model --output 'my run/saved-model'",
            ],
        ),
        ("/usr/lib/ipykernel_launcher.py", []),
    ],
)
def test_what_comes_next_are_the_programs_beside_the_one_that_trained(monkeypatch, started, expected):
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr(console, "python", lambda: "python")
    *commands, logs, summary = console.next_commands(RunDirectory(Path("my run")))
    assert commands == expected
    assert logs == "python -m tensorboard.main --logdir 'my run/logs'"
    assert "load_model('my run/model.keras').summary()" in summary


def test_an_export_is_not_suggested_without_tensorflow(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["recipes/train.py"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    commands = console.next_commands(RunDirectory(Path("my run")))
    assert [line for line in commands if "evaluate.py" in line] and not [line for line in commands if "export" in line]


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("recipes/train.py", "python recipes/train.py 'my run'"),
        ("/elsewhere/recipes/train.py", "python /elsewhere/recipes/train.py 'my run'"),
        ("keras-resnet train", "keras-resnet train 'my run'"),
        ("/usr/lib/ipykernel_launcher.py", "`resume=True` with directory='my run'"),
    ],
)
def test_a_run_is_continued_the_way_it_was_started(tmp_path, monkeypatch, started, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / started) if started == "recipes/train.py" else started])
    assert console.command(RunDirectory(tmp_path.relative_to(tmp_path) / "my run")) == expected


def test_the_console_command_is_that_of_the_launcher():
    from cli import launcher

    assert f"{launcher.NAME} train" == console.CONSOLE_COMMAND
