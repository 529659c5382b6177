"""The page about a trained network: what lies in the directory of its run, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import pytest

import model_card as command
from catalog import RECIPES
from keras_resnet.config.recipe import DataConfig, Recipe
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.reporting import model_card
from keras_resnet.reporting.departures import departures
from keras_resnet.runs.directory import RunDirectory

RECIPE = RECIPES["cifar10-resnet20"]
HELD_OUT = replace(RECIPE, data=replace(RECIPE.data, holdout=5000))
RESULT = {
    "recipe": RECIPE.name,
    "fingerprint": "0123456789ab",
    "iterations": 64_000,
    "training_images": 45_000,
    "view": "whole image",
    "splits": {"validation": {"images": 5000, "loss": 0.373, "top1_error": 12.54, "top5_error": 0.36}},
    "class_names": ["airplane", "dog"],
}
START = {
    "started": "2026-11-24T10:00:00+00:00",
    "command": "python recipes/train.py cifar10-resnet20",
    "commit": None,
    "tensorflow": "2.21.0",
    "devices": ["GPU:0", "GPU:1"],
    "run": {"data_directory": "/home/somebody"},
}


@pytest.fixture
def directory(tmp_path) -> RunDirectory:
    """A run that is finished."""
    directory = RunDirectory(tmp_path / "run")
    directory.create(HELD_OUT.to_json(), START)
    directory.write_result(RESULT)
    directory.model.write_bytes(b"weights")
    return directory


def page(directory: RunDirectory) -> str:
    return model_card.write(directory, directory.read_result()).read_text(encoding="utf-8")


def row(text: str, *cells: str) -> bool:
    return f"| {' | '.join(cells)} |\n" in text


def test_the_result_has_its_images_and_its_interval(directory):
    text = page(directory)
    low, high = wilson(627, 5000)
    cells = ("validation", "whole image", "5,000", "12.54%", f"{low:.2f}% to {high:.2f}%", "0.36%", "0.3730")
    assert row(text, *cells)
    assert (
        "trained on 45,000 images of cifar10 (5,000 more are held out) for 64,000 iterations of 128 images.\n" in text
    )


def test_the_protocol_is_every_field_of_the_recipe(directory):
    text = page(directory)
    values = json.loads(HELD_OUT.to_json())
    fields = [
        (f"{part}.{name}", value)
        for part in values
        if isinstance(values[part], dict)
        for name, value in values[part].items()
    ]
    assert len(fields) > 40
    for name, value in fields:
        assert f"| `{name}` | `{json.dumps(value)}` |\n" in text


def test_the_file_is_named_with_its_sum_and_how_to_load_it(directory):
    text = page(directory)
    assert f"7 bytes, SHA-256 `{hashlib.sha256(b'weights').hexdigest()}`" in text
    assert 'keras.saving.load_model("model.keras")' in text
    assert "uint8 [batch, 32, 32, 3]" in text and "of 2 classes: airplane, dog." in text


def test_the_environment_is_told_start_by_start_and_what_is_unknown_is_left_out(directory):
    again = {"started": "2026-11-25T10:00:00+00:00", "commit": "abc", "changes": ["model.depth: 20 -> 32"]}
    directory.environment.write_text(json.dumps([START, again]))
    text = page(directory)
    first, second = re.findall(r"## Started (.*)\n\n((?:- .*\n)+)", text)
    assert first[0] == START["started"]
    assert first[1].splitlines() == [
        "- command: `python recipes/train.py cifar10-resnet20`",
        "- tensorflow: `2.21.0`",
        "- devices: `GPU:0`, `GPU:1`",
    ]
    assert second[1].splitlines() == ["- commit: `abc`", "- changed: model.depth: 20 -> 32"]
    assert "somebody" not in text and "None" not in text


def test_a_run_of_an_earlier_version_has_a_page_too(directory):
    """Without the fields, the files and the entries that came later."""
    recipe = json.loads(directory.recipe.read_text())
    del recipe["training"]["precise_statistics"]
    directory.recipe.write_text(json.dumps(recipe))
    directory.environment.unlink()
    directory.model.unlink()
    result = {name: value for name, value in RESULT.items() if name != "training_images"}
    text = model_card.write(directory, result).read_text(encoding="utf-8")
    assert "trained on cifar10 (5,000 more are held out)" in text
    assert "## Started" not in text and "SHA-256" not in text
    assert "exponential moving averages" in text


def test_later_evaluations_are_told(directory):
    (directory.path / "evaluation").mkdir()
    later = {"images": 1000, "loss": 0.5, "top1_error": 10.0, "top5_error": 1.0, "split": "test", "view": "10-crop"}
    (directory.path / "evaluation" / "result-10-crop.json").write_text(json.dumps(later))
    assert "| test, measured later | 10-crop | 1,000 | 10.00% | " in page(directory)


def stated(recipe: Recipe) -> set[str]:
    """The places whose departures a page states."""
    texts = model_card._departures(json.loads(recipe.to_json()))
    return {place for place, text in departures() if f"- {text}\n" in texts + "\n"}


def places(recipe: Recipe) -> set[str]:
    return {place.rsplit(".", 1)[-1] for place in stated(recipe)}


def test_only_the_departures_that_apply_are_stated():
    digits, imagenet, goyal = (
        RECIPES[name] for name in ("digits-resnet8", "imagenet-resnet50", "imagenet-resnet50-goyal")
    )
    photographs = {"mean_and_deviation", "resized", "ResNet"}
    assert places(RECIPE) == {"pad_crop", "train", "BatchNormalization"}
    assert places(replace(RECIPE, training=replace(RECIPE.training, normalization_batch_size=64))) == {
        "pad_crop",
        "BatchNormalization",
    }
    assert places(replace(RECIPE, data=DataConfig(augmentation=()))) == {"train", "BatchNormalization"}
    assert places(digits) == {"pad_crop", "BatchNormalization"}
    assert places(imagenet) - {"fully_convolutional"} == photographs
    assert places(goyal) == photographs | {"BatchNormalization"}


def test_every_condition_is_that_of_a_departure():
    assert set(model_card.APPLIES) <= {place for place, _ in departures()}


def test_the_command_writes_the_page_again(directory, capsys):
    assert command.main([str(directory.path)]) == 0
    file = directory.path / "model_card.md"
    assert capsys.readouterr().out == f"{file}\n"
    assert file.read_text(encoding="utf-8") == page(directory)


def test_a_directory_of_no_run_and_a_run_that_is_not_finished_are_refused(directory, tmp_path, capsys):
    assert command.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} must be the directory of a run. It has no recipe.json\n"
    directory.result.unlink()
    assert command.main([str(directory.path)]) == 2
    assert "must hold a finished run. To finish it: python recipes/train.py" in capsys.readouterr().err
    assert not (directory.path / "model_card.md").exists()


@pytest.mark.parametrize("name", ["recipe", "result", "environment"])
def test_a_damaged_file_is_named_and_nothing_is_written(directory, name, capsys):
    file = getattr(directory, name)
    file.write_text("{")
    assert command.main([str(directory.path)]) == 2
    assert f"error: {file} is damaged: " in capsys.readouterr().err
    assert not (directory.path / "model_card.md").exists()
