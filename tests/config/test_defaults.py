"""A default never changes: recipes and fingerprints leave it out, and old ones would come to mean something else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

from keras_resnet import validation
from keras_resnet.config.checked import required
from keras_resnet.config.recipe import Recipe

KEPT = Path(__file__).with_name("defaults.txt")


def complaints(kept: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is wrong with the defaults, and what to do."""
    return [
        *(
            f"The default of {name} was {kept[name]} and is {value}. Restore it, for every recipe.json and fingerprint "
            "that leaves it out means the old one; and write the new value into the recipes that want it."
            for name, value in now.items()
            if name in kept and kept[name] != value
        ),
        *(
            f"{name} is new. If its default does what was done before it, add to {KEPT.name}: {name} = {value}"
            for name, value in now.items()
            if name not in kept
        ),
        *(
            f"{name} is gone, and every recipe.json that has it would be refused. Keep it, or convert such files as "
            "config/version_0_1.py does."
            for name in kept
            if name not in now
        ),
    ]


def defaults() -> dict[str, str]:
    return {name: json.dumps(value) for name, value in validation.leaves(Recipe("defaults").hyperparameters())}


def test_no_default_has_changed():
    kept = dict(line.split(" = ", 1) for line in KEPT.read_text(encoding="utf-8").splitlines())
    assert not complaints(kept, defaults())


def test_a_default_that_changed_came_or_went_is_named():
    kept = {"model.depth": "20", "data.padding": "4"}
    changed, new, gone = complaints(kept, {"model.depth": "56", "model.width": "1"})
    assert changed.startswith("The default of model.depth was 20 and is 56. Restore it")
    assert new.endswith("add to defaults.txt: model.width = 1")
    assert gone.startswith("data.padding is gone")


def test_every_field_but_the_name_has_a_default():
    assert required(Recipe) == ["name"]
    sections = [kind for kind in get_type_hints(Recipe).values() if is_dataclass(kind)]
    assert [required(kind) for kind in sections] == [[]] * 5
    assert len(fields(Recipe)) == len(sections) + 2  # the name and the description
