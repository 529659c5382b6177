"""A program that another program starts, and waits for."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence

from cli import program


def run(command: Sequence[str]) -> int:
    """Runs a command to its end; returns its exit status, or 130 or 75 where it was asked to stop by a signal.

    Ctrl-C and SIGTERM are passed on, so that a training saves its checkpoint.
    """
    with passing_signals_on() as (started, received):
        # In a group of its own, so that Ctrl-C reaches it once: by way of this process.
        started.append(subprocess.Popen(command, process_group=0))
        if received:
            started[0].send_signal(received[0])
        status = started[0].wait()
    if received:
        return program.INTERRUPTED if received[0] == signal.SIGINT else program.AGAIN
    return status


@contextlib.contextmanager
def passing_signals_on() -> Iterator[tuple[list[subprocess.Popen], list[int]]]:
    """While open, Ctrl-C and SIGTERM go to the processes in the first list, and are noted in the second."""
    started: list[subprocess.Popen] = []
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        for process in started:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield started, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
