"""One process for each other backend, in which the programs of all tests run: most of what one costs is its start.

Run as a program, this file runs the programs that its standard input names, on the backend that `KERAS_BACKEND` names.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import io
import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import pytest


@functools.cache
def started(backend: str) -> subprocess.Popen:
    """The process of a backend, which ends with that of the tests."""
    paths = os.pathsep.join(path for path in sys.path if path)
    # What XLA optimizes is run a few times only.
    flags = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    environment = os.environ | flags | {"KERAS_BACKEND": backend, "PYTHONPATH": paths}
    command = [sys.executable, __file__]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # closes its standard input, and waits
    return process


def run_on(backend: str, program: str | Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program on a backend, as `subprocess.run` would; skip the test where the backend is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    process = started(backend)
    command = [str(program), *map(str, arguments)]
    print(json.dumps(command), file=process.stdin, flush=True)
    answer = process.stdout.readline()
    assert answer, f"the process of {backend} ended"
    return subprocess.CompletedProcess(command, **json.loads(answer))


def run(command: list[str]) -> dict[str, object]:
    """Status and output of a program in this process."""
    sys.argv = command
    status: object = 0
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
    return {"returncode": status, "stdout": stdout.getvalue(), "stderr": stderr.getvalue()}


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library writes without Python is no answer
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    serve()
