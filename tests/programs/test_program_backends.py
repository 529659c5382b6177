"""Every program on every backend of Keras: it works and finds what it finds on TensorFlow, or refuses in one line."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import commands
import short_run
from backend_process import run_on
from cli import backends, program
from finished_runs import finished_run
from keras_resnet import CifarResNet
from keras_resnet.runs.history import HEADER
from tiers import slow

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
OTHERS = ("jax", "torch")

FEW = "--schedule.iterations 2 --schedule.boundaries 1 --training.global-batch-size 16"
WORDS = {
    "benchmark": "training 8 --batch-size 4 --rounds 1 --iterations 1",
    "convert": "PLACE/network.weights.h5 --output OUT/network.pth",
    "departures": "",
    "evaluate": "PLACE/run --output OUT --predictions",
    "explain": "PLACE/run PLACE/pictures --output OUT",
    "export": "PLACE/run --format saved-model --output OUT/served",
    "layer_responses": "PLACE/run --output OUT --images 20",
    "mistakes": "PLACE/run --output OUT",
    "model_card": "PLACE/run",
    "precise_bn": "PLACE/run --output OUT/precise.keras --images 64",
    "predict": "PLACE/run PLACE/pictures --json",
    "preflight": "digits-resnet8 --topology v5e",
    "prepare_imagenet": "--verify OUT",
    "report": "PLACE/run --output OUT/report.html",
    "reproduce": "table1 --output OUT",
    "summarize": "8",
    "train": f"digits-resnet8 {FEW} --run.directory OUT/run",
    "tune": f"digits-resnet8 {FEW} --directory OUT/found --axes model.shortcut=A",
}
"""A small task for each program."""
STATUS = {"preflight": 2, "prepare_imagenet": 2}
"""Of tasks that end otherwise than with 0: a slice without its chips, and nothing to verify."""
QUICK = ("evaluate", "predict")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A finished run of a small network on digits, pictures, and weights."""
    place = tmp_path_factory.mktemp("place")
    directory = finished_run(place / "run", short_run.RECIPE)
    directory.history.write_text(f"{HEADER}\n")
    CifarResNet(8).save_weights(place / "network.weights.h5")
    (place / "pictures").mkdir()
    noise = np.random.default_rng(0)
    for number in range(3):
        pixels = noise.integers(0, 256, (12 + number, 9), np.uint8)
        Image.fromarray(pixels).save(place / "pictures" / f"{number}.png")
    return place


def words(name: str, place: Path, out: Path) -> list[str]:
    out.mkdir()
    return WORDS[name].replace("PLACE", str(place)).replace("OUT", str(out)).split()


def predicted(out: Path, printed: str) -> np.ndarray:
    return np.array([[score["score"] for score in one["scores"]] for one in json.loads(printed)])


def evaluated(out: Path, printed: str) -> np.ndarray:
    result = json.loads((out / "result-center.json").read_text())
    with (out / "predictions-center.csv").open() as lines:
        scores = [float(row["score_1"]) for row in csv.DictReader(lines)]
    return np.array([result["loss"], result["top1_error"], result["top5_error"], *scores])


def counted(out: Path, printed: str) -> np.ndarray:
    return np.genfromtxt(out / "confusion.csv", delimiter=",", skip_header=1)


def drawn(out: Path, printed: str) -> np.ndarray:
    images = [np.asarray(Image.open(file).convert("RGB"), float) for file in sorted(out.rglob("*.png"))]
    return np.stack(images).mean(axis=(1, 2))


def responses(out: Path, printed: str) -> np.ndarray:
    return np.genfromtxt(out / "responses.csv", delimiter=",", skip_header=1)[:, 3]


FOUND = {
    "evaluate": evaluated,
    "explain": drawn,
    "layer_responses": responses,
    "mistakes": counted,
    "predict": predicted,
}
"""The numbers that a program found, of (its folder, what it printed)."""


@pytest.fixture(scope="module")
def expected(place, tmp_path_factory):
    """Function of a program: what it finds on TensorFlow, in this process."""

    def expected(name: str) -> np.ndarray:
        out = tmp_path_factory.mktemp("tensorflow") / "out"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert importlib.import_module(name).main(words(name, place, out)) == 0
        return FOUND[name](out, printed.getvalue())

    return expected


def test_every_program_says_what_it_runs_on():
    programs = {path.stem for path in RECIPES.glob("*.py") if not path.stem.startswith("_")}
    assert programs == WORDS.keys() == backends.PROGRAMS.keys() - {"input_speed"}
    assert (RECIPES / "benchmarks" / "input_speed.py").is_file()


RUNNING = [
    (backend, name)
    for backend in OTHERS
    for name, known in backends.PROGRAMS.items()
    if name in WORDS and name != "export" and (known is None or backend in known)
]


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(pair for pair in RUNNING if pair[1] in QUICK), *slow(pair for pair in RUNNING if pair[1] not in QUICK)],
)
def test_a_program_does_on_another_backend_what_it_does_on_tensorflow(backend, name, place, expected, tmp_path):
    out = tmp_path / "out"
    done = run_on(backend, RECIPES / f"{name}.py", *words(name, place, out))
    assert done.returncode == STATUS.get(name, 0), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if name in FOUND:
        found, wanted = FOUND[name](out, done.stdout), expected(name)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_an_export_is_tensorflow_s_whatever_the_backend(backend, place, tmp_path):
    pytest.importorskip(backend)
    command = [sys.executable, RECIPES / "export.py", *words("export", place, tmp_path / "out")]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "equal     yes" in done.stdout


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        (backend, name)
        for backend in (*OTHERS, "numpy")
        for name, known in backends.PROGRAMS.items()
        if name in WORDS and known is not None and backend not in known
    ],
)
def test_a_backend_that_a_program_does_not_run_on_is_refused_in_one_line(
    backend, name, place, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(backends, "chosen", lambda: backend)
    main, out = importlib.import_module(name).main, tmp_path / "out"
    assert commands.status(main, *words(name, place, out)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name} runs on the backend {backends.PROGRAMS[name][0]}")
    assert f"of Keras. Received: KERAS_BACKEND={backend}. Set KERAS_BACKEND=tensorflow for it" in line
    assert list(out.iterdir()) == []


def test_a_backend_that_is_not_installed_is_refused_with_what_to_install(place, capsys, monkeypatch):
    monkeypatch.setattr(backends, "chosen", lambda: "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert commands.status(importlib.import_module("predict").main, place / "run", place / "pictures") == 2
    assert "error: jax is not installed. To install all that this needs: pip install" in capsys.readouterr().err


@pytest.fixture
def only(monkeypatch, tmp_path) -> Callable[..., None]:
    """Has nothing but these packages installed, and nobody has chosen a backend."""

    def only(*installed: str) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return only


@pytest.mark.parametrize("file", [None, "tensorflow"])
@pytest.mark.parametrize(
    ("installed", "name", "backend"),
    [
        (("jax", "torch"), "train", "jax"),
        (("torch",), "predict", "torch"),
        (("torch",), "report", "torch"),
        (("tensorflow", "jax"), "train", "tensorflow"),
    ],
)
def test_the_engine_that_is_installed_is_taken_where_nobody_chose_one(only, tmp_path, installed, name, backend, file):
    only(*installed)
    if file:  # as Keras itself leaves it
        (tmp_path / "keras.json").write_text(json.dumps({"backend": file}))
    backends.check(name)
    assert backends.chosen() == backend


def test_a_backend_that_was_chosen_is_not_exchanged(only, tmp_path, monkeypatch):
    only("jax")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(
        ValueError, match=r"^tensorflow is not installed\. Set KERAS_BACKEND=jax, which is\. To install"
    ):
        backends.check("train")
    monkeypatch.setenv("KERAS_BACKEND", "")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    with pytest.raises(ValueError, match=r"^torch is not installed\. Set KERAS_BACKEND=jax"):
        backends.check("predict")


def test_without_any_engine_one_line_names_them(only):
    only()
    with pytest.raises(
        ValueError, match=r"^None of tensorflow, jax is installed\. To install .*\[recipes,tensorflow\]"
    ):
        backends.check("train")
    backends.check("report")  # needs none


def test_the_backend_is_the_one_that_keras_would_choose(tmp_path, monkeypatch):
    assert backends.chosen() == "tensorflow"
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backends.chosen() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert backends.chosen() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert backends.chosen() == "jax"
    (tmp_path / "keras.json").write_text("[")
    assert backends.chosen() == "tensorflow"


def test_a_function_of_no_program_runs_on_any_backend(monkeypatch):
    monkeypatch.setattr(backends, "chosen", lambda: "numpy")
    assert program.answer(lambda options: 0, None, flags={}) == 0
