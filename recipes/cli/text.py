"""Names of a user's, fit to be printed and drawn."""

from __future__ import annotations


def readable(name: str) -> str:
    """A name of one line, with escapes for what does not print: line breaks, and bytes that are no UTF-8."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in name
    )
