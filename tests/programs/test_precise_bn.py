"""The command that recomputes the batch statistics of a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import precise_bn
from catalog import RECIPES
from finished_runs import finished_run
from keras_resnet.config.recipe import DataConfig, TrainingConfig
from keras_resnet.config.run import Run
from keras_resnet.experiment import build
from keras_resnet.runs.directory import RunDirectory
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.precise_batch_norm import set_precise_statistics, statistics_batches

RECIPE = replace(
    RECIPES["digits-resnet8"],
    data=DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel"),
    training=TrainingConfig(global_batch_size=32),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    return finished_run(tmp_path_factory.mktemp("runs") / "run", RECIPE)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_new_network_has_the_statistics_of_the_training_images_and_both_errors_are_told(run, tmp_path, capsys):
    before = contents(run.path)
    output = tmp_path / "new.keras"
    assert precise_bn.main([str(run.path), "--images", "60", "--output", str(output)]) == 0
    assert contents(run.path) == before

    strategy, data = strategies.one_device(), build.load_data(RECIPE, Run())
    with strategy.scope():
        old, new = (keras.saving.load_model(file) for file in (run.model, output))
    images, labels = data.validation.images, data.validation.labels
    errors = [100 * np.mean(np.argmax(each(images, training=False), -1) != labels) for each in (old, new)]
    told = capsys.readouterr().out
    assert f"validation error on 360 images: {errors[0]:.2f}% before, {errors[1]:.2f}% after\n" in told
    assert f"model {output}\n" in told

    training = build.training_images(RECIPE, data)
    batches = statistics_batches(training, 64, strategy, global_batch_size=RECIPE.training.global_batch_size)
    set_precise_statistics(old, batches, strategy)
    for expected, weight in zip(old.weights, new.weights, strict=True):
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)


def refused(capsys, *arguments: object) -> str:
    """The one line that a command line is refused with."""
    assert precise_bn.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.removeprefix("error: ").removesuffix("\n")


def test_the_network_of_the_run_is_not_replaced_unasked(run, capsys):
    before = contents(run.path)
    told = refused(capsys, run.path, "--output", run.model)
    assert told == (
        f"{run.model} is there already. Choose another `output`, or replace it with `overwrite=True` "
        "(--output, --overwrite)"
    )
    assert contents(run.path) == before


def test_what_makes_no_sense_is_refused_before_anything_is_written(run, tmp_path, capsys):
    before = contents(run.path)
    assert refused(capsys, run.path, "--output", "new.h5") == "`output` must end in .keras. Received: new.h5 (--output)"
    assert refused(capsys, run.path, "--output", tmp_path / "no" / "new.keras").startswith("There is no directory")
    assert refused(capsys, tmp_path) == f"{tmp_path} must be the directory of a run. It has no recipe.json"
    for flag in ("--images", "--batch-size"):
        with pytest.raises(SystemExit, match="2"):
            precise_bn.main([str(run.path), flag, "0"])
        assert f"must be at least 1. Received: {flag[2:].replace('-', '_')}=0 ({flag})" in capsys.readouterr().err
    assert contents(run.path) == before
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_finished_is_refused(run, tmp_path, capsys):
    directory = RunDirectory(tmp_path / "run")
    directory.create(RECIPE.to_json(), {})
    directory.model.write_bytes(run.model.read_bytes())
    assert "must hold a finished run. It has no result.json" in refused(capsys, directory.path)
    directory.recipe.write_text("{}")
    directory.result.write_text("{}")
    assert refused(capsys, directory.path).startswith(f"{directory.recipe}: The recipe lacks `name`")
