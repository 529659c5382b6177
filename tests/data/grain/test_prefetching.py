"""Batches made ahead of time: the same whoever makes them, and nothing left of the workers however a program ends."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data.grain.prefetching import Prefetched
from numbered_pieces import Numbered
from tiers import slow


@pytest.mark.parametrize("workers", [0, 2, *slow([1, 3])])
@pytest.mark.parametrize("together", [2, *slow([1, 5])])
def test_batches_do_not_depend_on_who_makes_them(workers, together):
    with Prefetched(Numbered(10), together=together, workers=workers, threads=3) as batches:
        read = list(batches)
    expected = np.repeat(np.arange(10), 2).reshape(10 // together, 2 * together)
    np.testing.assert_array_equal([labels for _, labels in read], expected)
    for images, labels in read:
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        np.testing.assert_array_equal(images, np.broadcast_to(labels[:, None, None, None], images.shape))


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_several_sizes_stay_apart(workers):
    with Prefetched(Numbered(6, scales=True), workers=workers) as batches:
        read = list(batches)
    for number, (images, labels) in enumerate(read):
        assert [part.shape for part in images] == [(2, 2, 3, 3), (2, 7, 5, 3)]
        assert all((part == number).all() for part in (*images, labels))


def test_more_batches_than_are_made_ahead_stay_whole():
    """The places that pieces go through are used again."""
    with Prefetched(Numbered(1 << 60), together=3, workers=2) as batches:
        for number, (images, labels) in enumerate(itertools.islice(batches, 60)):
            expected = np.repeat(np.arange(3 * number, 3 * number + 3), 2)
            np.testing.assert_array_equal(labels, expected)
            np.testing.assert_array_equal(images[:, 0, 0, 0], expected)
            time.sleep(0.01 * (number % 10 == 0))


@pytest.mark.parametrize(
    ("workers", "at_three", "error", "told"),
    [
        (0, "damage", ValueError, r"^3.jpg: damaged$"),
        (2, "damage", ValueError, r"^3.jpg: damaged$"),
        (1, "foreign", RuntimeError, "ForeignError: this and that"),
        (2, "killed", OSError, r"was killed \(SIGKILL; out of memory\?\). Start again, with fewer `workers`"),
    ],
)
def test_what_happens_to_a_worker_reaches_the_program(workers, at_three, error, told):
    batches = Prefetched(Numbered(9, at_three), workers=workers)
    read: list[int] = []
    with pytest.raises(error, match=told):
        read.extend(labels[0] for _, labels in iter(batches))
    assert read == [0, 1, 2] or at_three == "killed"  # with what it had not sent yet
    assert list(batches) == []
    assert multiprocessing.active_children() == []


def test_a_worker_has_no_framework_and_not_the_program():
    with Prefetched(Numbered(9, "modules"), workers=1) as batches, pytest.raises(ValueError, match="grain") as told:
        list(batches)
    modules = str(told.value).split()
    assert "numpy" in modules
    assert {"jax", "jaxlib", "tensorflow", "keras", "torch", "pytest"} & set(modules) == set()


def test_workers_end_when_nobody_wants_their_batches():
    batches = Prefetched(Numbered(1 << 60), workers=2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    gc.collect()
    assert multiprocessing.active_children() == []


PROGRAM = """
import multiprocessing, sys
from keras_resnet.data.grain.prefetching import Prefetched
from numbered_pieces import Numbered

batches = Prefetched(Numbered(1 << 60, seconds=0.01), workers=2)
next(batches)
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
if sys.argv[1:] == ["ends"]:
    print("ended")
else:
    for batch in batches:
        pass
"""
"""Without `if __name__ == "__main__":`."""


def started(folder: Path, *command: str) -> tuple[subprocess.Popen, list[int]]:
    """A program in a session of its own, and its workers; what it complains of goes to a file."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with (folder / "complaints").open("w") as complaints:
        pipes = {"stdout": subprocess.PIPE, "stderr": complaints, "text": True}
        program = subprocess.Popen([sys.executable, *command], env=environment, start_new_session=True, **pipes)
    return program, list(map(int, program.stdout.readline().split()))


def ended(folder: Path, program: subprocess.Popen) -> tuple[int, str, str]:
    """Status of a program, and what it told and complained of after it was started."""
    with program:
        told = program.stdout.read()
    return program.returncode, told, (folder / "complaints").read_text()


def are_gone(processes: list[int], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while (there := any(Path(f"/proc/{process}").exists() for process in processes)) and time.monotonic() < end:
        time.sleep(0.05)
    return not there


@pytest.mark.parametrize("way", ["a file", "-c"])
def test_a_plain_program_needs_no_guard_and_ends_quietly(tmp_path, way):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = ["-c", PROGRAM] if way == "-c" else [str(tmp_path / "program.py")]
    program, workers = started(tmp_path, *command, "ends")
    assert ended(tmp_path, program) == (0, "ended\n", "")
    assert len(workers) == 2 and are_gone(workers)


@pytest.mark.parametrize(
    ("number", "status", "tracebacks"),
    [(signal.SIGINT, -signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL, 0)],
)
def test_workers_say_nothing_and_end_with_a_program_that_is_stopped(tmp_path, number, status, tracebacks):
    (tmp_path / "program.py").write_text(PROGRAM)
    program, workers = started(tmp_path, str(tmp_path / "program.py"))
    if number == signal.SIGKILL:
        program.kill()
    else:
        os.killpg(program.pid, number)  # as a terminal and a scheduler do
    found, _, complaints = ended(tmp_path, program)
    assert found == status
    assert complaints.count("Traceback") == tracebacks, complaints
    assert len(workers) == 2 and are_gone(workers)
