"""Programs that this process starts and waits for: they are asked to stop as it is, and end when it ends."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import BinaryIO

from keras_resnet.host import signals

Wait = Callable[[], int]
"""Waits for a program; returns its exit status."""
Start = Callable[[Sequence[str], connection.Connection, BinaryIO | None], Wait]
"""Starts a command, given its lifeline and the file for its output."""


def run(command: Sequence[str], stream: BinaryIO | None = None, start: Start | None = None) -> int:
    """Runs a program to its end; returns its exit status, or 130 or 75 where this process was asked to stop.

    The first Ctrl-C or SIGTERM is passed on, so that a training saves its checkpoint; a second one stops it at once.

    Args:
        command: A Python program that calls `signals.follow_parent`, and its arguments.
        stream: Where its output goes. None: where that of this process goes.
        start: `in_new_process` (the default) or `in_fork`.
    """
    theirs, ours = multiprocessing.Pipe(duplex=False)
    with theirs, ours, _passing_signals_on(ours) as received:
        wait = (start or in_new_process)(command, theirs, stream)
        status = wait()
    return signals.STATUSES[received[0]] if received else status


@contextlib.contextmanager
def _passing_signals_on(lifeline: connection.Connection) -> Iterator[list[signal.Signals]]:
    """While open, Ctrl-C and SIGTERM only go to the program at the other end, and into the list that is yielded."""
    received: list[signal.Signals] = []

    def pass_on(number: int, _: object) -> None:
        received.append(signal.Signals(number))
        with contextlib.suppress(OSError):  # of a program that has ended
            os.write(lifeline.fileno(), bytes([number]))

    with signals.handling(pass_on):
        yield received


def in_new_process(command: Sequence[str], lifeline: connection.Connection, stream: BinaryIO | None) -> Wait:
    """Starts a program in a process of its own, as a shell does."""
    descriptor = lifeline.fileno()
    process = subprocess.Popen(
        command,
        env={**os.environ, signals.LIFELINE: str(descriptor)},
        pass_fds=(descriptor,),
        process_group=0,  # so that Ctrl-C reaches it once: by way of this process
        stdout=stream,
        stderr=None if stream is None else subprocess.STDOUT,
    )
    return process.wait


def forks_are_safe() -> bool:
    """Whether a process that has imported a framework can be forked: on macOS its libraries forbid it."""
    return sys.platform == "linux"


def prepare_forks(modules: Sequence[str]) -> None:
    """Starts to import, in a process beside this one, what the programs of `in_fork` need.

    The modules may make no threads and may use no device when they are imported.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
    # The server only waits for what it has started; a scheduler's SIGTERM to all processes must not end it first.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGTERM, before)


def in_fork(command: Sequence[str], lifeline: connection.Connection, stream: BinaryIO | None) -> Wait:
    """Starts a program in a process that has imported its modules, and nothing else, before: see `prepare_forks`.

    Args:
        command: `sys.executable`, the file of a program, and its arguments.
        lifeline: By which it is stopped.
        stream: Where its output goes. None: where that of this process went when the forks were prepared.
    """
    output = None if stream is None else connection.Connection(os.dup(stream.fileno()), readable=False)
    process = multiprocessing.get_context("forkserver").Process(target=_as_program, args=(command, lifeline, output))
    process.start()
    if output is not None:
        output.close()

    def wait() -> int:
        process.join()
        return process.exitcode or 0

    return wait


def _as_program(command: Sequence[str], lifeline: connection.Connection, output: connection.Connection | None) -> None:
    """Makes this process what `python FILE …` would have made it."""
    os.setpgid(0, 0)  # so that Ctrl-C reaches it once: by way of the process that asked for it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if output is not None:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    signals.follow(os.dup(lifeline.fileno()))
    _, file, *words = command
    sys.path[0] = str(Path(file).parent)
    sys.argv = [file, *words]
    try:
        runpy.run_path(file, run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # a fork leaves without them
