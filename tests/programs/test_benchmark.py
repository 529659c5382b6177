from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import benchmark
from benchmarks import interleaved
from commands import status

PROGRAM = Path(__file__).parents[2] / "recipes" / "benchmark.py"


def run(*arguments):
    return subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, timeout=250)


def test_tasks_are_measured_alternately_in_every_counted_round(capsys):
    measured = []
    interleaved.compare({name: lambda name=name: measured.append(name) or 10 for name in ("ours", "theirs")}, rounds=2)
    assert measured == ["ours", "theirs"] * 3
    ours, theirs = capsys.readouterr().out.splitlines()
    assert ours.startswith("ours") and "ratio 1.00" in ours
    assert theirs.startswith("theirs")


def test_a_wrong_depth_is_refused(capsys):
    assert status(benchmark.main, "start", "21") == 2
    assert "`depth` must be 6n+2" in capsys.readouterr().err


def test_the_input_comes_first(capsys):
    assert status(benchmark.main, "--rounds", "3", "input") == 2
    assert "error: input comes first" in capsys.readouterr().err


@pytest.mark.slow
def test_start_prints_when_the_first_iteration_was_done():
    result = run("start", "8", "--batch-size", "4", "--precision", "float32")
    assert result.returncode == 0, result.stderr
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == ["built", "first", "second", "peak"]


@pytest.mark.slow
def test_training_prints_a_ratio():
    result = run("training", "8", "--batch-size", "4", "--rounds", "1", "--iterations", "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("ratio") == 2
