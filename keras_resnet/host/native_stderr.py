"""What libraries below Python write on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

STDERR = 2


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Keeps what is written on the descriptor of standard error in the block, by any thread.

    Yields:
        A list, to which the lines are added once the block has ended.
    """
    lines: list[str] = []
    try:
        shown = os.dup(STDERR)
    except OSError:  # closed: nothing that is written there arrives anywhere
        yield lines
        return
    if sys.stderr:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), STDERR)
        try:
            yield lines
        finally:
            if sys.stderr:
                sys.stderr.flush()
            os.dup2(shown, STDERR)
            os.close(shown)
            kept.seek(0)
            lines += kept.read().decode(errors="replace").splitlines()


def write(lines: list[str]) -> None:
    """Writes lines where `captured` took them from."""
    if lines:
        with contextlib.suppress(OSError):
            os.write(STDERR, "".join(f"{line}\n" for line in lines).encode())
