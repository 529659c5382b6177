"""YAML in front of a Markdown page, as the Hugging Face Hub reads it.

It writes what such a header needs, mappings, lists, texts and numbers, so that no YAML library has to be installed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ./_-]*[A-Za-z0-9])?")
"""Texts that need no quotes, but for `WORDS`."""

WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""What some version of YAML takes for a truth value or for nothing."""

UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
"""What a YAML file may not hold as it is, and JSON may."""


def header(values: Mapping[str, Any]) -> str:
    """The header, between its two lines of dashes.

    Args:
        values: Mappings, sequences, texts, truth values, finite numbers and `None`, nested.

    Raises:
        ValueError: if a number is not finite.
    """
    return "\n".join(("---", *_lines(values), "---"))


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    """The lines of a collection that has members, each without the indentation of where it stands."""
    pairs = value.items() if isinstance(value, Mapping) else (("", member) for member in value)
    for key, member in pairs:
        head = f"{scalar(key)}:" if isinstance(value, Mapping) else "-"
        if isinstance(member, str) or not isinstance(member, Mapping | Sequence):
            yield f"{head} {scalar(member)}"
        elif not member:
            yield f"{head} {{}}" if isinstance(member, Mapping) else f"{head} []"
        elif head == "-":
            first, *others = _lines(member)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
        else:
            yield head
            yield from (f"  {line}" for line in _lines(member))


def scalar(value: str | float | None) -> str:
    """A single value. A text that could be taken for anything else stands in quotes.

    Raises:
        ValueError: if a number is not finite.
    """
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in WORDS:
            return value
        return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.10f}".rstrip("0").rstrip(".")  # 1e-05 is a text to some
    return json.dumps(value, allow_nan=False)
