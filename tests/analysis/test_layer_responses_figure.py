"""Figure 7: the responses of the layers in their order, and sorted."""

from __future__ import annotations

import pytest

from keras_resnet.analysis import drawing, layer_responses_figure

RESPONSES = {"plain": [3.0, 1.0, 2.0], "residual": [0.5, 0.25]}


def test_draws_the_layers_in_order_and_below_it_sorted(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: saved.append(figure))
    layer_responses_figure.draw(RESPONSES, tmp_path / "figure.png", dashed=["plain"])
    ordered, ranked = saved[0].axes
    drawn = [[(line.get_label(), *map(list, line.get_data())) for line in axes.lines] for axes in (ordered, ranked)]
    assert drawn[0] == [("plain", [1, 2, 3], [3.0, 1.0, 2.0]), ("residual", [1, 2], [0.5, 0.25])]
    assert drawn[1] == [("plain", [1, 2, 3], [3.0, 2.0, 1.0]), ("residual", [1, 2], [0.5, 0.25])]
    assert [line.get_linestyle() for line in ordered.lines] == ["--", "-"]
    assert [text.get_text() for text in ordered.get_legend().get_texts()] == ["plain", "residual"]
    assert ordered.get_ylim()[0] == 0


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_suffix_decides_the_format(tmp_path, suffix, begins):
    path = layer_responses_figure.draw(RESPONSES, str(tmp_path / f"figure.{suffix}"))
    assert path == tmp_path / f"figure.{suffix}"
    assert path.read_bytes().startswith(begins)
