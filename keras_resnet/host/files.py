"""Files that are written wholly or not at all, and errors that say which one could not be written."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character: what Python makes of a byte that is no UTF-8."""


def write(file: Path, content: bytes, remedy: str) -> None:
    """Writes a file wholly or not at all, also when the disk is full or the power fails.

    Args:
        file: Is replaced if it is there.
        content: All of it.
        remedy: What to do if it cannot be written; one sentence without its full stop.

    Raises:
        OSError: naming the file, with the remedy.
    """
    # A name of its own for each process, so that two that write at once do not write into one file.
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with naming_file(file, remedy):
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
    finally:
        with contextlib.suppress(OSError):  # such as that of a folder which is none: told above
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A hidden path beside a file, which takes the place of the file once the block has ended without an error."""
    temporary = file.with_name(f".{file.name}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_file(file: Path, remedy: str) -> Iterator[None]:
    """Makes an `OSError` of the block say which file could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{file} cannot be written: {error.strerror or error}. {remedy}") from error


def as_json(value: Any, indent: int = 2) -> bytes:
    """JSON that people read; bytes of a name that are no UTF-8 are escapes, which a reader of JSON turns back."""
    text = json.dumps(value, indent=indent, ensure_ascii=False) + "\n"
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
