"""Training curves of several networks in one figure."""

from __future__ import annotations

import pytest

from keras_resnet.analysis import drawing
from keras_resnet.reproduction import figure
from keras_resnet.runs.history import Row

KINDS = ["training", "validation"]
PANELS = (("shallow", ("one", "two")), ("deep", ("two", "none")))
CURVES = {
    "one": [Row(1, training_error=90.0), Row(2, training_error=6.0, validation_error=8.0), Row(3, training_error=5.0)],
    "two": [Row(2, training_error=3.0, validation_error=9.0), Row(4, training_error=2.0, validation_error=7.0)],
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


def test_a_network_has_one_color_in_all_diagrams_and_one_that_is_missing_is_named(drawn):
    first, second = drawn.axes
    assert [axes.get_title() for axes in drawn.axes] == ["shallow", "deep"]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["one", "two", *KINDS]
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["two", "none: not run", *KINDS]
    colors = [line.get_color() for line in first.lines]
    assert colors == ["C0", "C0", "C1", "C1"]
    assert [line.get_color() for line in second.lines] == ["C1", "C1"]
    assert [line.get_color() for line in second.get_legend().get_lines()[:2]] == ["C1", "C2"]
    assert drawn.get_suptitle() == "Figure 0"


def test_the_ends_of_the_curves_can_be_told_apart(drawn):
    assert [axes.get_ylim() for axes in drawn.axes] == [(0, 16.0)] * 2, "not up to the 90% of the beginning"


def test_a_diagram_without_curves_has_the_iterations_of_the_others(draw):
    shallow, deep = (axes.get_xlim() for axes in draw((("shallow", ("one",)), ("deep", ("none",)))).axes)
    assert shallow == deep and shallow[0] == 0 and shallow[1] >= 3


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_suffix_decides_the_format_and_nothing_to_draw_is_no_error(tmp_path, suffix, begins):
    path = figure.draw(PANELS[:1], {}, tmp_path / f"figure.{suffix}")
    assert path.read_bytes().startswith(begins)


def test_the_same_curves_are_the_same_bytes(tmp_path):
    first, second = (figure.draw(PANELS, CURVES, tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second
