"""Names that somebody else chose, on a terminal."""

from __future__ import annotations

import pytest

from keras_resnet.host.printable import printable


@pytest.mark.parametrize("text", ["", "Katze", "Größe 猫 🐈", "two\nlines\tand a tab", "a\\b | <b> *c*"])
def test_what_a_terminal_only_shows_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("back\rwards\b", "back\\rwards\\x08"),
        ("bell\x07 \x9b1m", "bell\\x07 \\x9b1m"),
        ("right\u202eleft\u2066", "right\\u202eleft\\u2066"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\udce9"),
    ],
)
def test_what_would_do_something_is_written_out(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    assert shown.encode()
