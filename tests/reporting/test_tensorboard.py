"""What TensorBoard is told of a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import RECIPES
from keras_resnet.config.recipe import ModelConfig
from keras_resnet.evaluation.error_rates import ErrorRates
from keras_resnet.reporting import tensorboard

RECIPE = replace(
    RECIPES["digits-resnet8"], model=ModelConfig(family="cifar", depth=8, shortcut=None, preactivation=True)
)
MEASURED = {"validation": ErrorRates(360, 0.5, 7.5, 0.25), "test": ErrorRates(100, 0.75, 8.5, 0.5)}


def summaries(logs: Path) -> list:
    """The values of every summary in the logs, with their step."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = (event for file in sorted(logs.iterdir()) for event in EventFileLoader(str(file)).Load())
    return [(value, event.step) for event in events for value in event.summary.value]


def read(logs: Path) -> tuple[dict, dict, str]:
    """The hyperparameters, the (metric, step), and the group of a run, as TensorBoard's plugin reads them."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.util import tensor_util

    values, metrics, group = {}, {}, ""
    for summary, step in summaries(logs):
        if summary.tag == metadata.SESSION_START_INFO_TAG:
            start = metadata.parse_session_start_info_plugin_data(summary.metadata.plugin_data.content)
            values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
            group = start.group_name
        else:
            metrics[summary.tag] = (float(tensor_util.make_ndarray(summary.tensor)), step)
    return values, metrics, group


def test_the_plugin_reads_every_field_of_the_recipe_and_the_errors(tmp_path):
    tensorboard.write(tmp_path, RECIPE, MEASURED, 2000)
    values, metrics, _ = read(tmp_path)
    assert set(values) == {
        f"{section}.{name}" for section, fields in RECIPE.hyperparameters().items() for name in fields
    }
    assert values["model.depth"] == 8
    assert values["model.shortcut"] == "None"
    assert values["model.preactivation"] is True
    assert values["schedule.boundaries"] == "(1000, 1500)"
    assert metrics == {"final/validation_error": (7.5, 2000), "final/test_error": (8.5, 2000)}


def test_runs_are_told_apart_by_what_may_change_their_result(tmp_path):
    others = [replace(RECIPE, name="another"), replace(RECIPE, training=replace(RECIPE.training, seed=1))]
    for number, recipe in enumerate([RECIPE, *others]):
        tensorboard.write(tmp_path / str(number), recipe, MEASURED, 1)
    first, renamed, reseeded = (read(tmp_path / str(number))[2] for number in range(3))
    assert first == renamed != reseeded


def test_logs_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(OSError, match="TensorBoard's logs cannot be written"):
        tensorboard.write(tmp_path / "logs", RECIPE, MEASURED, 1)


def test_nothing_is_written_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    tensorboard.write(tmp_path, RECIPE, MEASURED, 1)
    assert list(tmp_path.iterdir()) == []
