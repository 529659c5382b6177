"""The progress line: when it is shown, and how it shares a terminal with messages."""

from __future__ import annotations

import io

import pytest

from keras_resnet.host.progress_line import ProgressLine, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (90061, "25:01:01")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def screen(written: str) -> list[str]:
    """What a terminal shows after carriage returns have overwritten what stood there."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for text in line.split("\r"):
            shown = text + shown[len(text) :]
        lines.append(shown.rstrip())
    return lines


def test_a_file_gets_whole_lines():
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.show("first")
    line.message("hello")
    line.show("second")
    line.erase()
    line.close()
    assert stream.getvalue() == "first\nhello\nsecond\n"


def test_a_terminal_keeps_one_line_below_the_messages():
    stream = Terminal()
    line = ProgressLine(stream)
    line.show("a long first text")
    line.show("second")
    line.message("hello")
    line.show("third")
    line.close()
    line.close()
    assert screen(stream.getvalue()) == ["hello", "third", ""]


def test_a_shorter_line_leaves_nothing_of_the_longer_one_and_an_erased_one_nothing_at_all():
    stream = Terminal()
    line = ProgressLine(stream)
    line.show("a long first text")
    line.show("second")
    assert screen(stream.getvalue()) == ["second"]
    line.erase()
    assert screen(stream.getvalue()) == [""]


def test_a_narrow_terminal_is_not_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    ProgressLine(stream).show("x" * 100)
    assert stream.getvalue() == "\r" + "x" * 29


@pytest.mark.parametrize(("stream", "seconds"), [(Terminal(), 0.2), (io.StringIO(), 10.0)])
def test_a_line_is_due_after_so_many_seconds(stream, seconds):
    now = [100.0]
    line = ProgressLine(stream, every=(0.2, 10.0), clock=lambda: now[0])
    for start in (100.0, 200.0):
        now[0] = start + seconds - 0.01
        assert not line.due()
        now[0] = start + seconds + 0.01
        assert line.due()
        now[0] = 200.0
        line.show("shown")
