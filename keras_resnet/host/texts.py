"""Texts that people write with any editor, and texts that a terminal can show."""

from __future__ import annotations

import re
from pathlib import Path

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line break, other line ends, what turns the direction of a text, and bytes of a file
name that are not UTF-8."""
BYTE_OF_A_NAME = range(0xDC80, 0xDD00)
"""The characters that stand for the bytes of a file name that are not UTF-8."""


def read(file: Path, of_what: str = "") -> str:
    """A text in UTF-8, without the byte order mark that some editors put first; its lines end in a line feed.

    Args:
        file: To be read.
        of_what: What is in it, for the error, such as " with a name per line".

    Raises:
        ValueError: if it is in another encoding.
        OSError: if it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be a text in UTF-8{of_what}. Save it in that encoding") from error


def decoded(content: bytes) -> str:
    """The same of what was read elsewhere.

    Raises:
        UnicodeDecodeError: if it is in another encoding.
    """
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def printable(text: object) -> str:
    r"""A text that any terminal shows: with `\x1b` for the character that would begin a command to it."""
    return UNPRINTABLE.sub(lambda found: _escaped(ord(found[0])), str(text))


def readable(name: object) -> str:
    r"""The same of a name, which stays on one line: with `\n` for a line break, and `\t` for a tab."""
    return printable(name).replace("\n", r"\n").replace("\t", r"\t")


def _escaped(number: int) -> str:
    if number in BYTE_OF_A_NAME:
        return rf"\x{number - 0xDC00:02x}"
    return rf"\x{number:02x}" if number < 0x100 else rf"\u{number:04x}"


def check_names(names: tuple[str, ...], where: str) -> None:
    """Refuses names of classes that no file or terminal could hold in a line of UTF-8.

    Raises:
        ValueError: naming the first of them.
    """
    for name in names:
        if "\t" in name or "\n" in name or UNPRINTABLE.search(name):
            shown = printable(name).replace("\t", r"\t").replace("\n", r"\n")
            raise ValueError(
                f"The names of classes must be UTF-8 without control characters. {where} has the class '{shown}'. "
                "Give it another name"
            )
