"""Recipes of version 0.1: how they were written, and the fingerprints that name their runs.

It had one word for each combination of operations, which meant another thing for encoded images than for others.
"""

from __future__ import annotations

from typing import Any

from keras_resnet.config.fingerprint import Values, digest
from keras_resnet.facts.augmentation import Images
from keras_resnet.facts.datasets import DATASETS

AUGMENTATIONS: dict[Images, dict[str, tuple[str, ...]]] = {
    "fixed-size": {
        "none": (),
        "crop": ("pad-crop",),
        "crop-flip": ("pad-crop", "flip"),
    },
    "encoded": {
        "none": (),
        "crop": ("random-resized-crop",),
        "crop-flip": ("random-resized-crop", "flip"),
        "crop-flip-colour": ("random-resized-crop", "flip", "color-jitter", "color-noise"),
        "scale-flip": ("random-scale-crop", "flip"),
        "scale-flip-colour": ("random-scale-crop", "flip", "color-noise"),
    },
}
"""The operations that each word stood for."""

FIELDS = {
    "model": "family depth shortcut block bottleneck_stride preactivation zero_gamma space_to_depth remat",
    "data": "dataset holdout augmentation padding normalization image_size",
    "optimizer": "name momentum nesterov weight_decay trust_coefficient global_clipnorm ema_momentum",
    "schedule": "name learning_rate iterations boundaries factor warmup_iterations warmup_learning_rate "
    "gate_learning_rate gate_error patience power scale",
    "training": "global_batch_size precision normalization_batch_size precise_statistics label_smoothing accumulation "
    "seed log_every validate_every",
}
"""The fields of a recipe, all of which its fingerprint covered."""


def converted(values: Any) -> Any:
    """The JSON values of a recipe with its augmentation as a list of operations; any others stay as they are."""
    match values:
        case {"data": {"dataset": str(dataset), "augmentation": str(word)} as data} if dataset in DATASETS:
            operations = AUGMENTATIONS[DATASETS[dataset].images].get(word, word)
            return {**values, "data": {**data, "augmentation": operations}}
    return values


def fingerprint(values: Values, changes: Values) -> str | None:
    """The fingerprint that version 0.1 gave to a recipe; `None` if that version had no such recipe.

    Args:
        values: All hyperparameters of the recipe.
        changes: Those that differ from their defaults.
    """
    names = {section: fields.split() for section, fields in FIELDS.items()}
    if any(name not in names.get(section, ()) for section, fields in changes.items() for name in fields):
        return None
    data = values["data"]
    words = AUGMENTATIONS[DATASETS[data["dataset"]].images]
    word = next((word for word, operations in words.items() if operations == data["augmentation"]), None)
    if word is None:
        return None
    known = {section: {name: values[section][name] for name in fields} for section, fields in names.items()}
    return digest({**known, "data": {**known["data"], "augmentation": word}})
