"""HTML in which nothing that a run says can be anything but text."""

from __future__ import annotations

import html
from typing import Any

from keras_resnet.host.texts import printable


class Markup(str):
    """Text that is HTML already."""


def element(tag: str, *content: str, **attributes: str | float | None) -> Markup:
    """An element around its content, of which everything but `Markup` is escaped.

    Args:
        tag: Its name.
        *content: What is in it, in order.
        **attributes: `class_` stands for `class`, `data_value` for `data-value`; None leaves an attribute out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{written}>{join(content)}</{tag}>")


def join(parts: Any) -> Markup:
    """Parts one after the other, of which everything but `Markup` is escaped."""
    return Markup("".join(part if isinstance(part, Markup) else _escaped(part) for part in parts))


def _escaped(text: str) -> str:
    return html.escape(printable(text))
