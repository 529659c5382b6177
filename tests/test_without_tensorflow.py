"""Processes in which TensorFlow cannot be imported."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import short_run
import without_tensorflow
from finished_runs import finished_run
from keras_resnet.runs.history import HEADER
from tiers import slow


@pytest.fixture(scope="module", params=["jax", *slow(["torch"])])
def found(request, tmp_path_factory) -> dict[str, str | None]:
    """The traceback of what failed on a backend, by the name of what was tried."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    place = tmp_path_factory.mktemp(request.param)
    run = finished_run(place / "run", short_run.RECIPE)
    run.history.write_text(f"{HEADER}\n")
    (place / "out").mkdir()
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, without_tensorflow.__file__, run.path, place / "out"],
        env=os.environ | {"KERAS_BACKEND": request.param, "PYTHONPATH": paths},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", without_tensorflow.THINGS)
def test_it_works_without_tensorflow(found, name):
    assert found[name] is None, found[name]
