"""The training curve: a picture in the paper's form."""

from __future__ import annotations

import pytest

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
    savefig = curves_figure.Figure.savefig

    def save(figure, path):
        saved.append(figure)
        savefig(figure, path)

    monkeypatch.setattr(curves_figure.Figure, "savefig", save)
    return saved


def test_draws_training_thin_and_validation_bold(tmp_path, figures):
    curves_figure.draw(ROWS, tmp_path / "curve.png", "ResNet-8 on digits")
    [axes] = figures[0].axes
    training, validation = axes.lines
    assert (training.get_label(), validation.get_label()) == ("training error", "validation error")
    assert list(zip(*training.get_data(), strict=True)) == [(100, 80.0), (200, 60.0)]
    assert list(zip(*validation.get_data(), strict=True)) == [(200, 65.0), (300, 55.0)]
    assert training.get_linewidth() < validation.get_linewidth()
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        "iterations",
        "error (%)",
        "ResNet-8 on digits",
    )
    assert axes.get_ylim()[0] == 0


def test_writes_a_png_and_says_where(tmp_path):
    path = curves_figure.draw(ROWS, str(tmp_path / "curve.png"), "title")
    assert path == tmp_path / "curve.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_single_validation_is_visible(tmp_path, figures):
    curves_figure.draw(ROWS[:2], tmp_path / "curve.png", "title")
    training, validation = figures[0].axes[0].lines
    assert (training.get_marker(), validation.get_marker()) == ("None", "o")


def test_a_run_without_rows_gives_empty_axes(tmp_path, figures):
    curves_figure.draw([], tmp_path / "curve.png", "title")
    assert not figures[0].axes[0].lines
