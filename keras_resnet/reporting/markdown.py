"""Tables in Markdown, as GitHub and the Hugging Face Hub read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

PIPE = re.compile(r"(\\*)\|")
"""A pipe, and the backslashes before it."""
SPECIAL = re.compile(r"[\\`*_\[\]<>&$~|]")
"""Characters that begin markup, HTML or mathematics within a line."""


def table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table, without a line break at its end.

    Args:
        heads: Of the columns.
        rows: As many values in each, written as `cell` writes them.
    """
    heads = list(heads)
    lines = [map(cell, heads), ["---"] * len(heads), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    """A value on one line that no pipe can end: whole numbers in groups of three digits, nothing for `None`."""
    if value is None:
        return ""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return PIPE.sub(lambda found: rf"{found[1] * 2}\|", " ".join(text.split()))


def literal(text: str) -> str:
    """A text within a line that is shown as it is, such as the name that somebody gave a class."""
    return SPECIAL.sub(r"\\\g<0>", text)
