"""The page about a trained network: what lies in the directory of its run, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

import model_card as command
from catalog import RECIPES
from invented_runs import invented_evaluation, invented_result
from keras_resnet.config.recipe import DataConfig, Recipe
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.reporting import model_card
from keras_resnet.reporting.departures import departures
from keras_resnet.runs.directory import RunDirectory

RECIPE = RECIPES["cifar10-resnet20"]
HELD_OUT = replace(RECIPE, data=replace(RECIPE.data, holdout=5000))
ERRORS = {"images": 5000, "loss": 0.373, "top1_error": 12.54, "top5_error": 0.36}
RESULT = invented_result(
    recipe=RECIPE.name,
    training_images=45_000,
    splits={"validation": ERRORS},
    class_names=["airplane", *"abcdefgh", "dog"],
)
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


@pytest.mark.parametrize("error", [0.0, None])  # as an earlier version wrote it, and as it is now
def test_of_five_classes_there_is_no_top_5_error(directory, error):
    errors = {**ERRORS, "top5_error": error}
    directory.write_result({**RESULT, "splits": {"validation": errors}, "class_names": list("abcde")})
    text = page(directory)
    assert "12.54%" in text and "top-1 accuracy" in text and "top-5" not in text


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
    assert "uint8 [batch, 32, 32, 3]" in text and "of 10 classes: airplane, a, b, c, d, e, f, g, h, dog." in text


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
    later = {"images": 1000, "split": "test", "dataset": "cifar10"}
    invented_evaluation(directory.evaluation, [RECIPE], "10-crop", 10.0, **later)
    invented_evaluation(directory.evaluation, [RECIPE, RECIPE], "center", 9.0, **later)
    text = page(directory)
    assert "| test, measured later | 10-crop | 1,000 | 10.00% | " in text
    assert "| test, measured later, 2 networks together | center | 1,000 | 9.00% | " in text
    [model] = header(text)["model-index"]
    assert len(model["results"]) == 2, "an ensemble is not this model"


def header(text: str) -> dict[str, Any]:
    """What the Hub reads of a page."""
    front, written, _ = text.split("---\n", 2)
    assert front == ""
    return yaml.safe_load(written)


def test_the_header_is_that_of_the_hub(directory):
    invented_evaluation(directory.evaluation, [RECIPE], "10-crop", 10.0, split="test", dataset="cifar10", images=10_000)
    read = header(page(directory))
    described = {key: read[key] for key in ("license", "library_name", "pipeline_tag", "datasets", "metrics")}
    assert described == {
        "license": "apache-2.0",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "datasets": ["uoft-cs/cifar10"],
        "metrics": ["accuracy"],
    }
    assert "resnet" in read["tags"]
    [model] = read["model-index"]
    assert model["name"] == RECIPE.name
    at_the_end, later = model["results"]
    assert at_the_end == {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"type": "uoft-cs/cifar10", "name": "CIFAR-10", "split": "validation"},
        "metrics": [
            {"type": "accuracy", "value": 0.8746, "name": "top-1 accuracy (whole image, 5,000 images)"},
            {"type": "accuracy", "value": 0.9964, "name": "top-5 accuracy (whole image, 5,000 images)"},
        ],
    }
    assert later["dataset"]["split"] == "test"
    assert later["metrics"][0] == {"type": "accuracy", "value": 0.9, "name": "top-1 accuracy (10-crop, 10,000 images)"}


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("cifar10-resnet20", {"type": "uoft-cs/cifar10", "name": "CIFAR-10", "split": "test"}),
        ("imagenet-resnet50", {"type": "ILSVRC/imagenet-1k", "name": "ImageNet-1k", "split": "validation"}),
        ("digits-resnet8", {"type": "digits", "name": "digits", "split": "validation"}),
    ],
)
def test_images_that_are_not_for_training_have_the_hubs_name_of_their_split(tmp_path, name, dataset):
    directory = RunDirectory(tmp_path)
    directory.create(RECIPES[name].to_json(), START)
    directory.write_result(RESULT)
    read = header(page(directory))
    assert read["model-index"][0]["results"][0]["dataset"] == dataset
    assert ("datasets" in read) == (dataset["type"] in {hub for hub, _, _ in model_card.HUB.values()})


def test_every_data_set_that_is_on_the_hub_is_one_that_there_is():
    assert set(model_card.HUB) <= set(DATASETS)


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
    missing = sorted(set(model_card.APPLIES) - {place for place, _ in departures()})
    assert missing == [], "these docstrings moved or state nothing any more: mend `APPLIES`"


def test_the_command_writes_the_page_again(directory, capsys):
    assert command.main([str(directory.path)]) == 0
    file = directory.path / "model_card.md"
    assert capsys.readouterr().out == f"{file}\n"
    assert file.read_text(encoding="utf-8") == page(directory)


def test_a_directory_of_no_run_and_a_run_that_is_not_finished_are_refused(directory, tmp_path, capsys):
    assert command.main([str(tmp_path)]) == 2
    told = f"error: {tmp_path} must be the directory of a run. It has no recipe.json. Runs are below it, such as "
    assert capsys.readouterr().err == f"{told}{directory.path}\n"
    directory.result.unlink()
    assert command.main([str(directory.path)]) == 2
    assert "must hold a finished run. It has no result.json" in capsys.readouterr().err
    assert not (directory.path / "model_card.md").exists()


@pytest.mark.parametrize("name", ["recipe", "result", "environment"])
def test_a_damaged_file_is_named_and_nothing_is_written(directory, name, capsys):
    file = getattr(directory, name)
    file.write_text("{")
    assert command.main([str(directory.path)]) == 2
    assert f"error: {file} is damaged: " in capsys.readouterr().err
    assert not (directory.path / "model_card.md").exists()


def test_a_start_without_a_time_and_a_result_without_a_top_5_error_have_a_page(directory):
    """As somebody's own program may have left them."""
    directory.environment.write_text("[{}]")
    directory.write_result(RESULT | {"splits": {"validation": ERRORS | {"top5_error": None}}})
    text = page(directory)
    assert "## Started at an unknown time" in text
    assert "top-5 accuracy" not in text


def test_names_of_classes_and_devices_are_nothing_but_text(directory):
    names = ["<script>", "a|b", "*c*", "`d`", "\x1b[31m", "\udce9"]
    directory.write_result(RESULT | {"class_names": names})
    directory.environment.write_text(json.dumps([START | {"devices": ["GPU `0`"]}]))
    text = page(directory)
    assert r": \<script\>, a\|b, \*c\*, \`d\`, \\x1b\[31m, \\xe9." in text
    assert "- devices: `` GPU `0` ``" in text
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "keras"
