"""Every program on every backend of Keras: it works, or refuses in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import evaluate
import short_run
from backend_process import run_on
from cli import backends
from finished_runs import finished_run
from tiers import slow

ROOT = Path(__file__).parents[2]
REFUSED = "runs on the backend"

PROGRAMS = {
    "convert": "RUN --output OUT/weights.safetensors",
    "departures": "",
    "evaluate": "RUN --output OUT --predictions",
    "explain": "RUN PICTURES --output OUT",
    "layer_responses": "RUN --output OUT --images 20",
    "mistakes": "RUN --output OUT",
    "model_card": "RUN",
    "precise_bn": "RUN --output OUT/precise.keras --images 64",
    "predict": "RUN PICTURES --json",
    "prepare_imagenet": "--verify OUT",
    "report": "RUN --output OUT/report.html",
    "reproduce": "table1",
    "summarize": "8 --build",
    "train": "digits-resnet8 --schedule.iterations 2 --schedule.boundaries 1 --training.global-batch-size 16 --run.directory OUT/run",
    "tune": "digits-resnet8 --directory OUT/found --axes model.shortcut=A --schedule.iterations 2 --schedule.boundaries 1 --training.global-batch-size 16",
    "benchmark": "training 8 --batch-size 4 --rounds 1 --iterations 1",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A finished run of a small network on digits, and pictures."""
    place = tmp_path_factory.mktemp("backends")
    finished_run(place / "run", short_run.RECIPE)
    (place / "pictures").mkdir()
    noise = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(noise.integers(0, 256, (12 + number, 9), np.uint8)).save(place / "pictures" / f"{number}.png")
    return place


def words(program: str, place: Path, out: Path) -> list[str]:
    replaced = {"RUN": place / "run", "PICTURES": place / "pictures", "OUT": out}
    text = PROGRAMS[program]
    for name, path in replaced.items():
        text = text.replace(name, str(path))
    return text.split()


def test_every_program_says_what_it_runs_on():
    programs = {path.stem for path in (ROOT / "recipes").glob("*.py") if not path.stem.startswith("_")}
    assert programs == backends.PROGRAMS.keys() - {"input_speed"} == PROGRAMS.keys() | {"export"}
