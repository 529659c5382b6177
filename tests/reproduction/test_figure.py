"""Training curves of several networks in one figure."""

from __future__ import annotations

import pytest

from keras_resnet.analysis import drawing
from keras_resnet.reproduction import figure
from keras_resnet.runs.history import Row

KINDS = ["training", "validation"]
PANELS = (("shallow", ("plain-1", "plain-2")), ("deep", ("ResNet-2", "ResNet-3")))
CURVES = {
    "plain-1": [
        Row(1, training_error=90.0),
        Row(2, training_error=6.0, validation_error=8.0),
        Row(3, training_error=5.0),
    ],
    "plain-2": [Row(2, training_error=3.0, validation_error=9.0), Row(4, training_error=2.0, validation_error=7.0)],
    "ResNet-2": [Row(2, training_error=3.5, validation_error=8.5), Row(4, training_error=2.5, validation_error=6.5)],
}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws panels of the curves; gives the figure."""
    saved = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: saved.append(figure))

    def figure_of(panels):
        figure.draw(panels, CURVES, tmp_path / "figure.png", "Figure 0")
        return saved[-1]

    return figure_of


@pytest.fixture
def drawn(draw):
    return draw(PANELS)


def test_training_is_dashed_and_validation_solid_over_the_iterations(drawn):
    found = {tuple(map(tuple, line.get_data())): line.get_linestyle() for line in drawn.axes[0].lines}
    assert found == {
        ((1, 2, 3), (90.0, 6.0, 5.0)): "--",
        ((2,), (8.0,)): "-",
        ((2, 4), (3.0, 2.0)): "--",
        ((2, 4), (9.0, 7.0)): "-",
    }


def test_the_legend_lies_below_the_diagram(drawn):
    for axes in drawn.axes:
        assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


def test_networks_of_one_depth_have_one_color_in_all_diagrams_and_one_that_was_not_run_is_left_out(drawn):
    first, second = drawn.axes
    assert [axes.get_title() for axes in drawn.axes] == ["shallow", "deep"]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["plain-1", "plain-2", *KINDS]
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["ResNet-2", *KINDS]
    assert [line.get_color() for line in first.lines] == ["C0", "C0", "C1", "C1"]
    assert [line.get_color() for line in second.lines] == ["C1", "C1"]
    assert [line.get_color() for line in second.get_legend().get_lines()[:1]] == ["C1"]
    assert drawn.get_suptitle() == "Figure 0"


def test_the_ends_of_the_curves_can_be_told_apart(drawn):
    assert [axes.get_ylim() for axes in drawn.axes] == [(0, 16.0)] * 2, "not up to the 90% of the beginning"


def test_a_diagram_without_curves_is_left_out(draw):
    drawn = draw((("shallow", ("plain-1",)), ("deep", ("ResNet-3",))))
    assert [axes.get_title() for axes in drawn.axes] == ["shallow"]


def test_iterations_are_whole_numbers(drawn):
    assert all(tick == int(tick) for axes in drawn.axes for tick in axes.get_xticks())


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_suffix_decides_the_format_and_nothing_to_draw_is_no_error(tmp_path, suffix, begins):
    path = figure.draw(PANELS[:1], {}, tmp_path / f"figure.{suffix}")
    assert path.read_bytes().startswith(begins)


def test_the_same_curves_are_the_same_bytes(tmp_path):
    first, second = (figure.draw(PANELS, CURVES, tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second
