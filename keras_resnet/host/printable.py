"""Names that somebody else chose, fit for a terminal: of files, of classes, in errors."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Codes that move or color what a terminal shows, that turn the direction of a text, and halves of characters, which
stand for the bytes of a name that is no UTF-8. Tabs and line breaks stay."""


def printable(text: str) -> str:
    """The text with each such character as Python writes it in a string, behind a backslash."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)
