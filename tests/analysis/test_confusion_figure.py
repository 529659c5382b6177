"""The picture of a confusion matrix: numbers for few classes, names for some, neither for many."""

from __future__ import annotations

import numpy as np
import pytest

from keras_resnet.analysis import confusion_figure, drawing


@pytest.fixture
def figures(monkeypatch) -> list:
    """Every figure that is made, and not encoded."""
    made = []
    monkeypatch.setattr(drawing, "encoded", lambda figure: made.append(figure))
    return made


def draw(classes: int):
    counts = np.diag(np.full(classes, 1500))
    counts[0, 1] = 500
    return confusion_figure.draw(counts, [f"class {number}" for number in range(classes)], "title")


def test_it_is_a_png():
    assert draw(3).startswith(b"\x89PNG")


def test_ten_classes_have_names_and_numbers(figures):
    draw(10)
    axes = figures[0].axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        **{(number, number): "1,500" for number in range(10)},
        (1, 0): "500",  # across: the predicted class; down: the true one
    }
    for axis, label in ((axes.xaxis, "predicted class"), (axes.yaxis, "true class")):
        assert [tick.get_text() for tick in axis.get_ticklabels()] == [f"class {number}" for number in range(10)]
        assert axis.get_label_text() == label
    assert axes.get_title() == "title"


def test_the_color_is_the_share_of_the_true_class(figures):
    draw(10)
    shares = figures[0].axes[0].images[0].get_array()
    assert (shares[0, 0], shares[0, 1], shares[1, 1], shares[1, 0]) == (75, 25, 100, 0)


def test_a_class_without_images_has_no_share(figures):
    confusion_figure.draw(np.zeros((3, 3), int), "abc", "title")
    np.testing.assert_array_equal(figures[0].axes[0].images[0].get_array(), 0)


def test_a_name_is_no_formula(figures):
    confusion_figure.draw(np.eye(2, dtype=int), ["$a$", r"$\b$"], "$c$")
    axes = figures[0].axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["$a$", r"$\b$"]


def test_fifty_classes_have_names_alone(figures):
    draw(50)
    axes = figures[0].axes[0]
    assert not axes.texts
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"class {number}" for number in range(50)]


def test_a_thousand_classes_have_neither_and_a_dot_each(figures):
    draw(1000)
    figures[0].draw_without_rendering()
    axes = figures[0].axes[0]
    assert not axes.texts
    assert not any("class" in tick.get_text() for tick in axes.get_yticklabels())
    assert min(axes.get_window_extent().width, axes.get_window_extent().height) >= 1000
