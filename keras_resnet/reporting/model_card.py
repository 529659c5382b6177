"""Model card: the page about a trained network, its errors, its recipe and its use.

In front of it stands the header that the Hugging Face Hub reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_resnet import validation
from keras_resnet.config.recipe import Recipe
from keras_resnet.evaluation.error_rates import tops
from keras_resnet.evaluation.intervals import wilson
from keras_resnet.facts.datasets import DATASETS
from keras_resnet.reporting import markdown, yaml_header
from keras_resnet.reporting.departures import departures
from keras_resnet.runs import directory as run_files
from keras_resnet.runs import results
from keras_resnet.runs.directory import RunDirectory

NAME = "model_card.md"
"""Of the page in the directory of a run."""

NAMED = 20
"""The most classes that are named."""

LICENSE = "apache-2.0"
"""Of this package, as the Hub calls it; whoever publishes weights may choose another."""

HUB: Mapping[str, tuple[str, str, str]] = {
    "cifar10": ("uoft-cs/cifar10", "CIFAR-10", "test"),
    "cifar100": ("uoft-cs/cifar100", "CIFAR-100", "test"),
    "imagenet": ("ILSVRC/imagenet-1k", "ImageNet-1k", "validation"),
}
"""Data set -> its name on the Hub, its title, and the Hub's name of the images that are not for training."""

Values = Mapping[str, Any]
"""What a JSON file of a run holds."""


def _encoded(recipe: Values) -> bool:
    return DATASETS[recipe["data"]["dataset"]].images == "encoded"


def _padded(recipe: Values) -> bool:
    return "pad-crop" in recipe["data"]["augmentation"]


def _mean_image_of_encoded_images(recipe: Values) -> bool:
    return _encoded(recipe) and recipe["data"]["normalization"] == "per-pixel-mean"


def _cifar_by_replica(recipe: Values) -> bool:
    return recipe["data"]["dataset"].startswith("cifar") and recipe["training"]["normalization_batch_size"] is None


APPLIES: dict[str, Callable[[Values], bool]] = {
    "keras_resnet.data.statistics.mean_and_deviation": _encoded,
    "keras_resnet.data.tensorflow.augmentation.fixed_size.pad_crop": _padded,
    "keras_resnet.data.tensorflow.augmentation.crops.resized": _encoded,
    "keras_resnet.models.fully_convolutional.fully_convolutional": _mean_image_of_encoded_images,
    "keras_resnet.experiment.run.train": _cifar_by_replica,
    "keras_resnet.models.layers.batch_normalization.BatchNormalization": lambda r: (
        not r["training"].get("precise_statistics")
    ),
    "keras_resnet.models.resnet.ResNet": lambda r: r["model"]["family"] == "imagenet",
}
"""Place of a departure from the paper -> whether it concerns a training by a recipe. Others always do."""


def write(directory: RunDirectory, result: Values) -> Path:
    """Writes the page of a run into its directory.

    It is made of what lies there: `recipe.json`, `environment.json`, `model.keras` and the results of later
    evaluations. What is not there is left out: a run of an earlier version has a page, too.

    Args:
        directory: Of the run.
        result: What was measured at its end, as in `result.json`.

    Returns:
        The file.

    Raises:
        ValueError: if a file is damaged.
        OSError: if the page cannot be written.
    """
    recipe = asdict(Recipe.from_dict(results.read_json(directory.recipe)))
    evaluations = [values for _, values in directory.evaluations()]
    sections = (
        _header(recipe, result, evaluations),
        _title(recipe, result),
        _results(result, evaluations),
        _use(recipe, result, directory.model),
        _departures(recipe),
        *map(_start, directory.starts()),
        _protocol(recipe),
    )
    page = directory.path / NAME
    run_files.write(page, "\n\n".join(section for section in sections if section) + "\n")
    return page


def _header(recipe: Values, result: Values, evaluations: Iterable[Values]) -> str:
    """What the Hub reads; its schema: huggingface.co/docs/hub/model-cards."""
    data = recipe["data"]
    hub, title, held_back = HUB.get(data["dataset"], (None, data["dataset"], None))
    measured = [(split, result["view"], errors) for split, errors in result["splits"].items()]
    measured += [(later["split"], later["view"], later) for later in evaluations if len(later["networks"]) == 1]

    def entry(split: str, view: str, errors: Values) -> Values:
        # Without held-out images, a training validates on those that are not for training.
        published = held_back if held_back and split == ("test" if data["holdout"] else "validation") else split
        how = f"{view}, {errors['images']:,} images"
        return {
            "task": {"type": "image-classification", "name": "Image classification"},
            "dataset": {"type": hub or data["dataset"], "name": title, "split": published},
            "metrics": [
                {
                    "type": "accuracy",
                    "value": round(1 - errors[f"top{k}_error"] / 100, 6),
                    "name": f"top-{k} accuracy ({how})",
                }
                for k in tops(len(result["class_names"]))
                if errors[f"top{k}_error"] is not None
            ],
        }

    return yaml_header.header(
        {
            "license": LICENSE,
            "library_name": "keras",
            "pipeline_tag": "image-classification",
            "tags": ["image-classification", "resnet", "keras"],
            **({"datasets": [hub]} if hub else {}),
            "metrics": ["accuracy"],
            "model-index": [{"name": recipe["name"], "results": [entry(*one) for one in measured]}],
        }
    )


def _title(recipe: Values, result: Values) -> str:
    model, data, scale = recipe["model"], recipe["data"], recipe["schedule"]["scale"]
    network = f"residual network with shortcuts {model['shortcut']}" if model["shortcut"] else "plain network"
    images = f"{result['training_images']:,} images of " if "training_images" in result else ""
    held_out = f" ({data['holdout']:,} more are held out)" if data["holdout"] else ""
    return (
        f"# {recipe['name']}\n\n"
        f"A {network} of {model['depth']} layers, trained on {images}{data['dataset']}{held_out} for "
        f"{result['iterations']:,} iterations of {recipe['training']['global_batch_size']} images"
        f"{f', {scale} of the whole schedule' if scale != 1 else ''}.\n\n"
        f"Recipe: `{recipe['name']}`, fingerprint `{result['fingerprint']}`. What it aims at, which is no result of "
        f"this training: {markdown.text(recipe['description'])}."
    )


def _results(result: Values, evaluations: Iterable[Values]) -> str:
    """The errors at the end of the training, and those that were measured later."""
    rows = [(name, result["view"], errors) for name, errors in result["splits"].items()]
    for later in evaluations:
        together = f", {count} networks together" if (count := len(later["networks"])) > 1 else ""
        rows.append((f"{later['split']}, measured later{together}", later["view"], later))
    _, *more_tops = tops(len(result["class_names"]))
    lines = []
    for split, view, errors in rows:
        images, top1 = errors["images"], errors["top1_error"]
        low, high = wilson(round(top1 * images / 100), images)
        more = ["" if (error := errors[f"top{k}_error"]) is None else f"{error:.2f}%" for k in more_tops]
        cells = (split, view, images, f"{top1:.2f}%", f"{low:.2f}% to {high:.2f}%", *more)
        lines.append((*cells, f"{errors['loss']:.4f}"))
    heads = (
        "split",
        "view",
        "images",
        "top-1 error",
        "its 95% interval",
        *(f"top-{k} error" for k in more_tops),
        "loss",
    )
    # The best validation is picked among many: it is no estimate, and stays in result.json.
    return f"## Result\n\n{markdown.table(heads, lines)}"


def _use(recipe: Values, result: Values, model: Path) -> str:
    """The file of the network, and how to load it."""
    if not model.exists():
        return ""
    data, names = recipe["data"], result["class_names"]
    height, width, channels = DATASETS[data["dataset"]].image_shape or (data["image_size"], data["image_size"], 3)
    listed = f": {', '.join(map(markdown.text, names))}" if len(names) <= NAMED else ", named in `result.json`"
    with model.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return (
        "## Use\n\n"
        "```python\n"
        "import keras\n"
        "import keras_resnet\n\n"
        f'network = keras.saving.load_model("{model.name}")\n'
        "logits = network.predict(images)\n"
        "```\n\n"
        f"`images` are uint8 [batch, {height}, {width}, {channels}] of 0 to 255: the network normalizes them itself. "
        f"`logits` are float32 [batch, {len(names)}], of {len(names)} classes{listed}.\n\n"
        f"`{model.name}`: {model.stat().st_size:,} bytes, SHA-256 `{digest}`"
    )


def _protocol(recipe: Values) -> str:
    """Every field of the recipe."""
    fields = validation.leaves({key: value for key, value in recipe.items() if isinstance(value, dict)})
    rows = [(markdown.code(name), markdown.code(json.dumps(value))) for name, value in fields]
    return f"## Protocol\n\nTraining `recipe.json` again repeats it.\n\n{markdown.table(('field', 'value'), rows)}"


def _departures(recipe: Values) -> str:
    texts = [text for place, text in departures() if APPLIES.get(place, lambda _: True)(recipe)]
    listed = "\n".join(f"- {text}" for text in texts)
    return f"## What this package does differently from the paper\n\n{listed}" if texts else ""


def _start(start: Values) -> str:
    """Where and with what a run was started, without what is not known."""
    known = {
        key: value for key, value in start.items() if value not in (None, [], "") and key not in ("run", "changes")
    }
    lines = [f"- {key}: {_words(value)}" for key, value in known.items() if key != "started"]
    lines += [f"- changed: {markdown.cell(change)}" for change in start.get("changes", [])]
    return "\n".join([f"## Started {start.get('started', 'at an unknown time')}", "", *lines])


def _words(value: Any) -> str:
    return ", ".join(map(markdown.code, value)) if isinstance(value, list) else markdown.code(value)
