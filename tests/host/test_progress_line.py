"""The progress line: its text, its numbers, and how it shares a terminal with messages."""

from __future__ import annotations

import io

import pytest

from keras_resnet.host.progress_line import Progress, duration, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (90061, "25:01:01")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_line():
    line = progress_line(400, 64000, loss=1.23456, training_error=45.678, images_per_second=1234.4, seconds_left=754)
    assert line == "  400/64000  loss 1.2346  training error 45.68%  1,234 images/s  12:34 left"


def test_speed_is_that_of_the_latest_iterations_and_leaves_pauses_out():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, global_batch_size=10, first_iteration=100, stream=stream, clock=clock)
    for iteration, seconds, pause in ((200, 50, 0), (300, 10, 40), (400, 5, 0)):
        clock.now += seconds
        progress.update(iteration, loss=1.0, training_error=50.0)
        clock.now += pause
        progress.pause_ended()
    # 100 iterations of 10 images in 50, 10 and 5 seconds.
    assert [line.split("  ")[-2] for line in stream.getvalue().splitlines()] == [
        "20 images/s",
        "100 images/s",
        "200 images/s",
    ]
    # 800 iterations at 2/s; 700 at 10/s; 600 at 200 in 55 s: tracing is forgotten, the pause is not.
    assert [line.split("  ")[-1] for line in stream.getvalue().splitlines()] == ["6:40 left", "1:10 left", "2:45 left"]


def test_a_clock_that_stands_still_is_no_error():
    stream = io.StringIO()
    Progress(10, 1, stream=stream, clock=Clock()).update(5, loss=1.0, training_error=50.0)
    assert "0 images/s" in stream.getvalue()


def test_a_file_gets_whole_lines():
    stream = io.StringIO()
    progress = Progress(10, 1, stream=stream, clock=Clock())
    progress.update(1, loss=1.0, training_error=50.0)
    progress.message("hello")
    progress.update(2, loss=1.0, training_error=50.0)
    progress.close()
    lines = stream.getvalue().split("\n")
    assert [line[:5].strip() for line in lines] == ["1/10", "hello", "2/10", ""]
    assert "\r" not in stream.getvalue()


def screen(written: str) -> list[str]:
    """What a terminal shows after carriage returns have overwritten what stood there."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for text in line.split("\r"):
            shown = text + shown[len(text) :]
        lines.append(shown.rstrip())
    return lines


def test_a_terminal_keeps_one_line_below_the_messages():
    stream = Terminal()
    progress = Progress(10, 1, stream=stream, clock=Clock())
    progress.update(1, loss=12345678.0, training_error=50.0)
    progress.update(2, loss=1.0, training_error=50.0)
    progress.message("hello")
    progress.update(3, loss=2.0, training_error=50.0)
    progress.close()
    progress.close()
    assert screen(stream.getvalue()) == [
        "hello",
        " 3/10  loss 2.0000  training error 50.00%  0 images/s  0:00 left",
        "",
    ]


def test_a_shorter_line_leaves_nothing_of_the_longer_one():
    stream = Terminal()
    progress = Progress(10, 1, stream=stream, clock=Clock())
    progress.update(1, loss=12345678.0, training_error=50.0)
    progress.update(2, loss=1.0, training_error=50.0)
    assert screen(stream.getvalue()) == [" 2/10  loss 1.0000  training error 50.00%  0 images/s  0:00 left"]


def test_a_narrow_terminal_is_not_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    Progress(10, 1, stream=stream, clock=Clock()).update(1, loss=1.0, training_error=50.0)
    assert len(stream.getvalue().removeprefix("\r")) == 29
