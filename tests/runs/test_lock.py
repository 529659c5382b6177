"""The lock that keeps two processes from training in one directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnet.runs import lock

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys
from pathlib import Path
from keras_resnet.runs import lock

with lock.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_directory_that_another_process_holds_is_refused_by_its_name(tmp_path, holder):
    told = re.escape(f"{tmp_path / 'run'} is being trained by process {holder.pid} on ")
    with pytest.raises(BlockingIOError, match=told), lock.writing(tmp_path / "run"):
        pass
    with pytest.raises(BlockingIOError, match=told):
        lock.check(tmp_path / "run")


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / lock.NAME).exists()
    lock.check(tmp_path / "run")
    with lock.writing(tmp_path / "run"):
        pass


def test_a_directory_is_held_once_in_a_process_and_again_later(tmp_path):
    for _ in range(2):
        with lock.writing(tmp_path / "run"):
            with pytest.raises(BlockingIOError), lock.writing(tmp_path / "run"):
                pass
            with pytest.raises(BlockingIOError):
                lock.check(tmp_path / "run")
            (tmp_path / "run" / "file").touch()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["file"]


def test_nothing_stays_where_nothing_came_of_it(tmp_path):
    with pytest.raises(KeyError), lock.writing(tmp_path / "run"):
        raise KeyError
    assert not (tmp_path / "run").exists()


def test_a_check_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        lock.check(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_was_removed_meanwhile_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    """As by the one who held it, between opening and locking."""
    take, calls = lock.fcntl.flock, []

    def flock(file, kind):
        if not calls:
            (tmp_path / lock.NAME).unlink()
        calls.append(kind)
        take(file, kind)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with lock.writing(tmp_path):
        assert len(calls) == 2
        with pytest.raises(BlockingIOError):
            lock.check(tmp_path)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def flock(file, kind):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with lock.writing(tmp_path / "run"):
        lock.check(tmp_path / "run")
