"""Stopping a program from outside: Ctrl-C, the SIGTERM of a scheduler that wants the machine back, the parent's end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from threading import Thread
from typing import NoReturn

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""The signals that ask a program to stop, by the names that people know."""

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 75}
"""Exit statuses of a program that they have stopped: as of any program; and "start it again" (`EX_TEMPFAIL`)."""

LIFELINE = "KERAS_RESNET_LIFELINE"
"""The variable by which a program is told of its parent: a descriptor for reading."""

_followed: list[int] = []
"""The lifelines of this process."""


class Stopped(Exception):  # noqa: N818, it is no error
    """Training was asked to stop, and has written a checkpoint.

    Args:
        message: For people.
        reason: The signal.
    """

    def __init__(self, message: str, reason: signal.Signals):
        super().__init__(message)
        self.reason = reason


@contextlib.contextmanager
def handling(handler: Callable[[int, object], object]) -> Iterator[Callable[[], None]]:
    """While open, the signals go to a handler; yields what puts back the handlers that were there before.

    Signals belong to the main thread: in any other, nothing changes.
    """
    # None stands for a handler that is not Python's, which Python cannot put back.
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}

    def restore() -> None:
        for number, usual in before.items():
            signal.signal(number, usual)

    try:
        for number in SIGNALS:
            signal.signal(number, handler)
    except ValueError:
        yield lambda: None
        return
    try:
        yield restore
    finally:
        restore()


@contextlib.contextmanager
def noting_signals(tell: Callable[[str], None]) -> Iterator[list[signal.Signals]]:
    """While open, the first signal only fills the list that is yielded; a second one acts as usual.

    In a program that follows its parent, a second one does nothing: a scheduler signals both, and the parent passes
    it on.

    Args:
        tell: Told what happens, for whoever waits.
    """
    received: list[signal.Signals] = []

    def note(number: int, _: object) -> None:
        if received:
            return
        received.append(signal.Signals(number))
        if not _followed:
            restore()
        tell(f"{SIGNALS[received[0]]}: stopping after this call; once more stops at once, without a checkpoint")

    with handling(note) as restore:
        yield received


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """While open, SIGTERM ends the program as Ctrl-C does, by an exception: `SystemExit` with its status."""

    def end(number: int, _: object) -> NoReturn:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(STATUSES[signal.Signals(number)])

    with handling(end):
        yield


def follow_parent() -> None:
    """Makes this program end with the one that started it, if that was `host.child_process`."""
    if descriptor := os.environ.pop(LIFELINE, None):
        follow(int(descriptor))


def follow(lifeline: int) -> None:
    """Makes this process stop when its parent asks it to, or is no more.

    Args:
        lifeline: The end for reading of a pipe. The first byte is a signal, as if this process had got it; a second one
            kills it; the end of the pipe alone is a SIGTERM.
    """
    _followed.append(lifeline)

    def obey() -> None:
        asked = os.read(lifeline, 1)
        os.kill(os.getpid(), asked[0] if asked else signal.SIGTERM)
        if asked and os.read(lifeline, 1):
            os.kill(os.getpid(), signal.SIGKILL)

    Thread(target=obey, daemon=True).start()
