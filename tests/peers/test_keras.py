"""Keras's own tests, which it is installed with, pass with our classes in the place of Keras's."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import pytest

from keras_suites import BACKENDS, EXPECTED, SUITES, Ours, expected, surprises
from ours_in_place import put_in_place

HERE = Path(__file__).parent
KERAS = Path(importlib.util.find_spec("keras").origin).parent / "src"


def path_of(file: str) -> Path:
    return HERE / file if file.endswith("_of_ours.py") else KERAS / file


def outcomes(suite: str, backend: str, folder: Path, tests: Iterable[str], *, ours: bool) -> dict[str, str]:
    """Outcome by name of files or tests, from a process of their own."""
    report = folder / f"{suite if ours else 'keras'}-{backend}.json"
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "OURS_IN_PLACE": suite if ours else "",
        "OUTCOMES": str(report),
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
    }
    options = ["-q", "-c", os.devnull, "--rootdir=/", "--assert=plain", "--tb=short", "-k", SUITES[suite].only]
    command = [sys.executable, "-m", "pytest", *options, "-p", "ours_in_place", "-p", "no:cacheprovider", *tests]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    print(result.stdout)
    assert report.is_file() and result.returncode in (0, 1), result.stdout + result.stderr
    return json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.peers
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suite", SUITES)
def test_the_tests_of_keras_pass_with_ours_in_place(suite, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    paths = {file.rpartition("/")[2]: str(path_of(file)) for file in SUITES[suite].files}
    found = outcomes(suite, backend, tmp_path, paths.values(), ours=True)
    assert "passed" in found.values()
    reasons, failed = expected(suite, backend), [test for test, outcome in found.items() if outcome == "failed"]
    again = [test for test in failed if test not in reasons]
    names = [paths[file] + "::" + test for file, _, test in (test.partition("::") for test in again)]
    theirs = outcomes(suite, backend, tmp_path, names, ours=False) if again else {}
    assert not surprises(found, theirs, reasons)


@pytest.mark.parametrize("file", sorted({file for suite in SUITES.values() for file in suite.files}))
def test_every_file_is_there(file):
    assert path_of(file).is_file()


@pytest.mark.parametrize("suite", EXPECTED)
def test_every_test_that_cannot_pass_is_of_a_file_of_its_suite(suite):
    files = {file.rpartition("/")[2] for file in SUITES[suite].files}
    assert {test.partition("::")[0] for backend in BACKENDS for test in expected(suite, backend)} <= files


def test_a_new_failure_and_a_row_that_is_out_of_date_are_told():
    found = {"a::new": "failed", "a::known": "failed", "a::theirs": "failed", "a::fixed": "passed", "a::off": "skipped"}
    reasons = {"a::known": "why", "a::fixed": "why", "a::gone": "why", "a::off": "why"}
    assert surprises(found, {"a::theirs": "failed", "a::new": "passed"}, reasons) == [
        "a::new fails with ours, and passes with Keras's",
        "a::fixed passes now: take it off the table",
        "a::gone is not among Keras's tests: take it off the table",
    ]


def test_a_row_of_one_backend_is_expected_there_alone():
    test = "optimizer_distribute_test.py::OptimizerDistributeTest::test_config"
    assert test in expected("SGD", "tensorflow")
    assert test not in expected("SGD", "jax")
    assert not any(": " in row for row in expected("SGD", "tensorflow"))


@pytest.fixture
def theirs(monkeypatch):
    """A module of another package; one with two of ours is beside it."""

    class Optimizer:
        def __init__(self, rate=0.1, *, momentum=0.9):
            self.settings = rate, momentum

    def build(depth=50, *, pad="same"):
        return depth, pad

    ours, package = ModuleType("ours_in_test"), ModuleType("theirs_in_test")
    ours.Optimizer, ours.build = Optimizer, build
    package.Optimizer, package.TABLE = object, {"sgd": object}
    for module in (ours, package):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return package


def test_a_class_takes_names_and_entries_of_tables_with_the_defaults_of_theirs(theirs):
    places = ("theirs_in_test.Optimizer", "theirs_in_test.TABLE.sgd")
    put_in_place(Ours("ours_in_test.Optimizer", places, {"rate": 0.01, "momentum": 0.0}))
    assert theirs.Optimizer is theirs.TABLE["sgd"]
    assert theirs.Optimizer().settings == (0.01, 0.0)
    assert theirs.Optimizer(1.0, momentum=0.5).settings == (1.0, 0.5)


def test_a_builder_takes_the_name_of_theirs_and_keeps_its_own_defaults_elsewhere(theirs):
    put_in_place(Ours("ours_in_test.build", ("theirs_in_test.build_v2",), {"pad": "symmetric"}))
    assert theirs.build_v2(18) == (18, "symmetric")
    assert theirs.build_v2.__name__ == "build_v2"
    assert resolve_name("ours_in_test.build")() == (50, "same")
