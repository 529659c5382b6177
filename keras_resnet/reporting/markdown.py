"""Tables in Markdown, as GitHub and the Hugging Face Hub read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from keras_resnet.host.texts import printable

CODE = re.compile(r"(`+)[^`](?:.*?[^`])?\1(?!`)")
"""A span of code, in which nothing but a pipe is special."""
SPECIAL = re.compile(r"[\\`*_\[\]<>#~$&|]")
"""What makes a text something else than that."""
PIPE = re.compile(r"(\\*)\|")
"""A pipe, and the backslashes before it."""


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
    return PIPE.sub(lambda found: rf"{found[1] * 2}\|", _without_tags(_line(text)))


def text(value: str) -> str:
    """A name that somebody else chose, as nothing but text, on one line."""
    return SPECIAL.sub(lambda found: rf"\{found[0]}", _line(value))


def code(value: object) -> str:
    """A span of code that holds a value whatever it is, on one line."""
    line = _line(str(value))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _without_tags(line: str) -> str:
    """A line in which no `<` begins a tag; those in spans of code begin none."""
    spans = [*CODE.finditer(line)]
    outside = zip([0, *(span.end() for span in spans)], [*(span.start() for span in spans), len(line)], strict=True)
    parts = [line[begin:end].replace("<", r"\<") for begin, end in outside]
    return "".join(part + (spans[k][0] if k < len(spans) else "") for k, part in enumerate(parts))
