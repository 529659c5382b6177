"""Stopping a training from outside: Ctrl-C, and the SIGTERM of a scheduler that wants the machine back."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""The signals that ask a training to stop, by the names that people know."""


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
def noting_signals(tell: Callable[[str], None]) -> Iterator[list[signal.Signals]]:
    """While open, the first signal only fills the list that is yielded; a second one acts as usual.

    Args:
        tell: Told what happens, for whoever waits.
    """
    received: list[signal.Signals] = []
    # None stands for a handler that is not Python's, which Python cannot put back.
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _) -> None:
        received.append(signal.Signals(number))
        restore()
        tell(f"{SIGNALS[received[0]]}: stopping after this call; once more stops at once, without a checkpoint")

    try:
        for number in SIGNALS:
            signal.signal(number, note)
    except ValueError:  # signals belong to the main thread; elsewhere there is nothing to catch
        yield received
        return
    try:
        yield received
    finally:
        restore()
