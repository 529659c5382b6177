"""The training curve: a picture in the paper's form."""

from __future__ import annotations

import math

import pytest

from keras_resnet.analysis import drawing
from keras_resnet.reporting import curves_figure
from keras_resnet.runs.history import Row

ROWS = [
    Row(100, training_error=80.0),
    Row(200, training_error=60.0, validation_error=65.0),
    Row(300, validation_error=55.0),
]


@pytest.fixture
def figures(monkeypatch) -> list:
    """Every figure that is saved."""
    saved = []
    save = drawing.save
    monkeypatch.setattr(drawing, "save", lambda figure, path: saved.append(figure) or save(figure, path))
    return saved


def test_draws_training_dashed_and_validation_solid_in_two_colors(tmp_path, figures):
    curves_figure.draw(ROWS, tmp_path / "curve.png", "ResNet-8 on digits")
    [axes] = figures[0].axes
    training, validation = axes.lines
    assert (training.get_label(), validation.get_label()) == ("training error", "validation error")
    assert list(zip(*training.get_data(), strict=True)) == [(100, 80.0), (200, 60.0)]
    assert list(zip(*validation.get_data(), strict=True)) == [(200, 65.0), (300, 55.0)]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert training.get_color() != validation.get_color()
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        "iterations",
        "error (%)",
        "ResNet-8 on digits",
    )
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 80


def test_the_legend_hides_no_curve(tmp_path, figures):
    curves_figure.draw(ROWS, tmp_path / "curve.png", "title")
    [legend], [axes] = figures[0].legends, figures[0].axes
    assert [text.get_text() for text in legend.get_texts()] == ["training error", "validation error"]
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0


def test_writes_a_png_and_says_where(tmp_path):
    path = curves_figure.draw(ROWS, str(tmp_path / "curve.png"), "title")
    assert path == tmp_path / "curve.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_point_without_a_neighbor_is_a_dot(tmp_path, figures):
    lonely = Row(400, validation_error=math.inf), Row(500, validation_error=50.0)
    curves_figure.draw([*ROWS[:2], *lonely], tmp_path / "curve.png", "title")
    training, validation = figures[0].axes[0].lines
    assert (training.get_marker(), validation.get_marker()) == ("None", "o")
    assert validation.get_markevery() == [0, 2]


def test_a_run_without_rows_gives_empty_axes(tmp_path, figures):
    curves_figure.draw([], tmp_path / "curve.png", "title")
    assert not figures[0].axes[0].lines


@pytest.mark.parametrize(("last", "expected"), [((4.0, 8.0), 16.0), ((60.0, 70.0), 100.0), ((0.0, 0.0), None)])
def test_a_diagram_ends_above_the_last_errors(last, expected):
    rows = [Row(1, training_error=90.0), Row(2, training_error=last[0], validation_error=last[1])]
    assert curves_figure.top([rows, []]) == expected


def test_an_error_that_is_no_number_ends_no_diagram():
    rows = [Row(1, training_error=30.0), Row(2, training_error=math.nan)]
    assert curves_figure.top([rows]) == 60.0
