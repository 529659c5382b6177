"""TensorBoard's logs of a training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from keras_resnet.training.summaries import summary_writer


def read(logs: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, as TensorBoard's pages show them."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util import tensor_util

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs.parent))
    multiplexer.Reload()
    assert list(multiplexer.PluginRunToTagToContent("scalars")) == [logs.name]
    return {
        tag: [(e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in multiplexer.Tensors(logs.name, tag)]
        for tag in multiplexer.PluginRunToTagToContent("scalars")[logs.name]
    }


def test_tensorboard_shows_the_scalars_of_all_writers_at_once(tmp_path):
    write = summary_writer(str(tmp_path / "runs" / "logs"))
    write(5, {"loss": 2.5, "training_error": 90.0})
    assert read(tmp_path / "runs" / "logs") == {"loss": [(5, 2.5)], "training_error": [(5, 90.0)]}
    write(10, {"loss": 2.0})
    summary_writer(str(tmp_path / "runs" / "logs"))(15, {"loss": 1.5})  # of a run that continues
    assert read(tmp_path / "runs" / "logs")["loss"] == [(5, 2.5), (10, 2.0), (15, 1.5)]
    assert len(list((tmp_path / "runs" / "logs").iterdir())) == 2


def test_logs_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(OSError, match="TensorBoard's logs cannot be written: "):
        summary_writer(str(tmp_path / "logs"))


def test_without_tensorboard_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(OSError, match="as it is not installed: pip install tensorboard"):
        summary_writer(str(tmp_path / "logs"))
    assert not list(tmp_path.iterdir())
