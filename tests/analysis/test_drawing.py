"""Files of figures: the same bytes whenever they are drawn."""

from __future__ import annotations

import time

import pytest

from keras_resnet.analysis import drawing


def drawn():
    figure = drawing.new(2, 2, dpi=50)
    axes = figure.add_subplot(xlabel="label")
    axes.plot([1, 2], [1, 2], marker="o")
    return figure


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_that_is_drawn_again_is_the_same_file(tmp_path, suffix, monkeypatch):
    first = drawing.save(drawn(), tmp_path / f"figure.{suffix}").read_bytes()
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert drawing.encoded(drawn(), suffix) == first


def test_text_stays_text_where_it_is_asked_for():
    assert b">label</text>" in drawing.encoded(drawn(), "svg", real_text=True)
    assert b"</text>" not in drawing.encoded(drawn(), "svg")
