"""The program that compiles a recipe for TPUs: its refusals, and what it prints and writes."""

from __future__ import annotations

import json
import os

import pytest

import commands
import preflight as program
from benchmarks import input_file
from keras_resnet.experiment import preflight
from keras_resnet.facts import tpus
from keras_resnet.preflight import topologies
from keras_resnet.preflight.program import Memory, Program


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """The environment of the tests stays as it is, and the backend is the one that they have."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(topologies, "require", lambda: None)


@pytest.fixture
def flown(monkeypatch):
    compiled = Program(Memory(2**30, 0, 0, 0, 0), flops=1e12, bytes=1e9, cycles=1_000_000)
    monkeypatch.setattr(preflight.Steps, "training", lambda steps, batch: compiled)
    monkeypatch.setattr(preflight.Steps, "evaluation", lambda steps, batch: compiled)


def run(*words: object) -> int:
    """Exit status."""
    return commands.status(program.main, "digits-resnet8", "--engine", "tensorflow", *words)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "`topology` must be the name of a slice"),
        (("--topology", "v5e"), "such as v5e:1x1"),
        (("--topology", "v5litepod-12"), "one of v5e-1, v5e-4"),
        (("--topology", "v5e:2x2", "--chips-per-host", "3"), "`chips_per_host` must be one of 4, 8 for v5e"),
        (("--topology", "v5e:2x2", "--training.global-batch-size", "30"), "a multiple of the 4 replicas"),
        (("--topology", "v5e:2x2", "--classes", "3"), "`classes` must be 10"),
        (
            ("--topology", "v5e:2x2", "--baseline"),
            "which keras.applications has. Received: baseline=True, family='cifar'",
        ),
        (("--topology", "v5e:2x2", "--json", "found.txt"), "must end in .json"),
    ],
)
def test_refusals_are_one_line_with_the_flag(words, error, capsys):
    assert run(*words) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("error: ") and error in shown and "--" in shown


def test_a_flag_that_there_is_not(capsys):
    assert run("--topologi", "v5e:2x2") == 2
    assert "Did you mean --topology" in capsys.readouterr().err


def test_what_is_missing_is_named(monkeypatch, capsys):
    def missing():
        raise ModuleNotFoundError("No module named 'libtpu'", name="libtpu")

    monkeypatch.setattr(topologies, "require", missing)
    assert run("--topology", "v5e:2x2") == 2
    error = capsys.readouterr().err
    assert (
        "libtpu is not installed. To install all that this needs: pip install" in error and "tpu,tensorflow]" in error
    )


def test_it_prints_and_writes_what_was_found(flown, tmp_path, capsys):
    file = tmp_path / "found.json"
    assert run("--topology", "v5litepod-4", "--json", file, "--host-images-per-second", 100) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("digits-resnet8 on v5e:2x2: 4 chips in 1 host; 16 images a chip")
    assert "input-bound: a host brings 100 images/s" in shown
    found = json.loads(file.read_text())
    assert (found["topology"], found["images_per_device"]) == ("v5e:2x2", 16)
    assert run("--topology", "v5litepod-4", "--json", file) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_speed_of_a_host_is_taken_from_the_file_of_the_benchmark(flown, tmp_path, capsys):
    file = tmp_path / "input.json"
    file.write_text(json.dumps({input_file.SPEED: 100.0}))
    assert run("--topology", "v5litepod-4", "--host-input", file) == 0
    assert "input-bound: a host brings 100 images/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", f'{{"{input_file.SPEED}": "fast"}}', f'{{"{input_file.SPEED}": 0}}']
)
def test_another_file_is_refused(flown, tmp_path, capsys, content):
    (tmp_path / "input.json").write_text(content)
    assert run("--topology", "v5e:2x2", "--host-input", tmp_path / "input.json") == 2
    assert "`host_input` must be a file that recipes/benchmark.py input --json wrote" in capsys.readouterr().err


def test_the_speed_of_a_host_is_given_once(tmp_path, capsys):
    words = ("--host-input", tmp_path / "input.json", "--host-images-per-second", 100)
    assert run("--topology", "v5e:2x2", *words) == 2
    assert "`host_input` must be None beside `host_images_per_second`" in capsys.readouterr().err


def test_the_engine_is_the_backend(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    program.choose_backend("jax")
    assert os.environ == {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}


def test_the_help_names_every_generation():
    assert all(name in program.__doc__ for name in tpus.GENERATIONS)
