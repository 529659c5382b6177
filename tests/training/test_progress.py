"""The progress of a training: its text, and its numbers."""

from __future__ import annotations

import io

from keras_resnet.training.progress import Progress, progress_text


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_line():
    line = progress_text(400, 64000, loss=1.23456, training_error=45.678, images_per_second=1234.4, seconds_left=754)
    assert line == "  400/64000  loss 1.2346  training error 45.68%  1,234 images/s  12:34 left"


def test_speed_is_that_of_the_latest_iterations_and_leaves_pauses_out():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, global_batch_size=10, first_iteration=100, stream=stream, clock=clock)
    for iteration, seconds, pause in ((200, 50, 0), (300, 10, 40), (400, 5, 0)):
        clock.now += seconds
        progress.update(iteration, loss=1.0, training_error=50.0)
        clock.now += pause
        progress.pause_ended()
    first, *others = stream.getvalue().splitlines()
    assert first == " 200/1000  loss 1.0000  training error 50.00%", "compiling is no speed"
    # 100 iterations of 10 images in 10 and 5 seconds.
    assert [line.split("  ")[-2] for line in others] == ["100 images/s", "200 images/s"]
    # 700 iterations at 10/s; 600 at 200 in 55 s: tracing is forgotten, the pause is not.
    assert [line.split("  ")[-1] for line in others] == ["1:10 left", "2:45 left"]


def test_a_clock_that_stands_still_is_no_error():
    stream = io.StringIO()
    progress = Progress(10, 1, stream=stream, clock=Clock())
    for iteration in (5, 6):
        progress.update(iteration, loss=1.0, training_error=50.0)
    assert "0 images/s" in stream.getvalue()
