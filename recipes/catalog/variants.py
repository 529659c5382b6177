"""Recipes as differences from others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_resnet.config.recipe import Recipe


def variant(base: Recipe, name: str, description: str, **changes: dict[str, Any]) -> Recipe:
    """A recipe that differs from another in some fields of some sections: `model={"depth": 32}`."""
    sections = {section: replace(getattr(base, section), **fields) for section, fields in changes.items()}
    return replace(base, name=name, description=description, **sections)
