"""Texts from any editor, and for any terminal."""

from __future__ import annotations

import json
import os

import pytest

from keras_resnet.host import files, texts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_is_the_same_from_every_editor(tmp_path, encoding, end):
    content = end.join(["café", "狐\u2028", ""]).encode(encoding)
    (tmp_path / "text").write_bytes(content)
    assert texts.read(tmp_path / "text") == texts.decoded(content) == "café\n狐\u2028\n"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused(tmp_path, encoding):
    (tmp_path / "text").write_bytes("café".encode(encoding))
    with pytest.raises(ValueError, match=f"{tmp_path / 'text'} must be a text in UTF-8 with names. Save it in that"):
        texts.read(tmp_path / "text", " with names")


def test_what_moves_the_cursor_or_cannot_be_encoded_is_escaped():
    text = os.fsdecode(b"caf\xe9 caf\xc3\xa9\t\x1b[31m\x7f\n") + "\u2028\x85\ud800"
    assert texts.printable(text) == "caf\\xe9 café\t\\x1b[31m\\x7f\n\\u2028\\x85\\ud800"


def test_names_that_are_special_elsewhere_are_names():
    texts.check_names(("|", "$x$", "<b>", "a,b", '"', "=1+1", "狐", "👩\u200d🔬", "a b", "\\"), "here")


def test_a_file_name_that_is_not_utf_8_comes_back_from_json():
    name = os.fsdecode(b"caf\xe9 \xc3\xa9")
    assert json.loads(files.as_json({name: [name]})) == {name: [name]}


@pytest.mark.parametrize("text", ["", "Katze", "Größe 猫 🐈", "two\nlines\tand a tab", "a\\b | <b> *c*"])
def test_what_a_terminal_only_shows_stays(text):
    assert texts.printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("back\rwards\b", "back\\x0dwards\\x08"),
        ("bell\x07 \x9b1m", "bell\\x07 \\x9b1m"),
        ("right\u202eleft\u2066", "right\\u202eleft\\u2066"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
    ],
)
def test_what_would_do_something_is_written_out(text, shown):
    assert texts.printable(text) == shown
    assert texts.printable(shown) == shown
    assert shown.encode()


def test_a_name_stays_on_one_line():
    assert texts.readable("two\nlines\tand \x1b") == "two\\nlines\\tand \\x1b"
