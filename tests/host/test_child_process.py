"""Programs that another starts: their output, their exit status, and how they stop with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_resnet.host import child_process
from keras_resnet.host.signals import STATUSES

ROOT = Path(__file__).parents[2]

CHILD = """
import sys, time
from pathlib import Path
from keras_resnet.host import signals

signals.follow_parent()
folder = Path(sys.argv[1])
print("begun", flush=True)
with signals.noting_signals(lambda line: None) as received:
    (folder / "begun").write_text("")
    until = time.monotonic() + 60
    while not received and time.monotonic() < until:
        time.sleep(0.01)
    (folder / "asked").write_text(received[0].name)
    time.sleep(0.5)  # as a training saves its checkpoint
    (folder / "saved").write_text("")
"""

PARENT = """
import sys
from keras_resnet.host import child_process, signals

if __name__ == "__main__":
    start = getattr(child_process, sys.argv[1])
    child_process.prepare_forks([])
    sys.exit(child_process.run([sys.executable, *sys.argv[2:]], start=start))
"""

STARTS = pytest.mark.parametrize("start", ["in_new_process", "in_fork"])


@pytest.fixture
def program(tmp_path) -> list[str]:
    """The command of a program that saves something when it is asked to stop."""
    (tmp_path / "child.py").write_text(CHILD)
    return [sys.executable, str(tmp_path / "child.py"), str(tmp_path)]


@pytest.fixture
def parent(tmp_path, program):
    """Starts another process that runs the program, and waits for it to have begun."""
    (tmp_path / "parent.py").write_text(PARENT)
    started = []

    def begin(start: str) -> subprocess.Popen:
        command = [sys.executable, str(tmp_path / "parent.py"), start, *program[1:]]
        started.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}))
        wait_for(tmp_path / "begun")
        return started[0]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def wait_for(file: Path) -> None:
    until = time.monotonic() + 30
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert file.exists(), "it was waited for"


@STARTS
@pytest.mark.parametrize("number", STATUSES)
def test_the_first_signal_is_passed_on_and_something_may_be_saved(tmp_path, program, start, number):
    before = signal.getsignal(number)

    def interrupt() -> None:
        wait_for(tmp_path / "begun")
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with (tmp_path / "output").open("wb") as stream:
        assert child_process.run(program, stream, getattr(child_process, start)) == STATUSES[number]
    thread.join()
    assert (tmp_path / "asked").read_text() == number.name
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "output").read_text() == "begun\n"
    assert signal.getsignal(number) == before


@STARTS
def test_a_program_stops_when_its_parent_is_killed(tmp_path, parent, start):
    parent(start).kill()
    wait_for(tmp_path / "saved")
    assert (tmp_path / "asked").read_text() == "SIGTERM"


@STARTS
def test_a_signal_to_all_processes_counts_once(tmp_path, parent, start):
    """As a scheduler sends it: the program gets it, and the parent passes it on."""
    first = parent(start)
    everyone = [first.pid, *children(first.pid)]
    for pid in everyone:
        os.kill(pid, signal.SIGTERM)
    assert first.wait(30) == STATUSES[signal.SIGTERM]
    assert (tmp_path / "saved").exists()


def children(pid: int) -> list[int]:
    """Every process below one."""
    below: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            below += [child, *children(child)]
    return below


@STARTS
def test_a_second_signal_stops_at_once(tmp_path, parent, start):
    first = parent(start)
    first.send_signal(signal.SIGINT)
    wait_for(tmp_path / "asked")
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == STATUSES[signal.SIGINT]
    assert not (tmp_path / "saved").exists()


@STARTS
@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", 3), ("", 0), ("1 / 0", 1), ("raise SystemExit(130)", 130)]
)
def test_a_program_that_ends_by_itself_has_its_own_status(tmp_path, start, code, status):
    program = tmp_path / "program.py"
    program.write_text(code)
    with (tmp_path / "output").open("wb") as stream:
        assert child_process.run([sys.executable, str(program)], stream, getattr(child_process, start)) == status
    assert ("ZeroDivisionError" in (tmp_path / "output").read_text()) == (code == "1 / 0")


SEEN = """
import atexit, os, sys
from beside import WORD

atexit.register(print, "the end")
print(__name__, WORD, sys.argv[0] == __file__, sys.argv[1:], os.getpgid(0) == os.getpid())
"""


@STARTS
def test_a_program_sees_what_python_shows_it(tmp_path, start):
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    (tmp_path / "program.py").write_text(SEEN)
    with (tmp_path / "output").open("wb") as stream:
        command = [sys.executable, str(tmp_path / "program.py"), "--a", "b c"]
        assert child_process.run(command, stream, getattr(child_process, start)) == 0
    assert (tmp_path / "output").read_text() == "__main__ beside True ['--a', 'b c'] True\nthe end\n"


def test_nothing_changes_outside_of_the_main_thread(tmp_path):
    program, statuses = tmp_path / "program.py", []
    program.write_text("raise SystemExit(4)")
    thread = threading.Thread(target=lambda: statuses.append(child_process.run([sys.executable, str(program)])))
    thread.start()
    thread.join()
    assert statuses == [4]
