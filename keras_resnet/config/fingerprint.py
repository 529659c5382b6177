"""Names of experiments: a digest of the hyperparameters that differ from their defaults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Mapping[str, Any]]
"""Fields of a recipe by section and name."""


def changes(values: Values, defaults: Values) -> dict[str, dict[str, Any]]:
    """The fields that differ from their defaults; a section without any is left out."""
    each = {
        section: {name: value for name, value in fields.items() if value != defaults[section][name]}
        for section, fields in values.items()
    }
    return {section: fields for section, fields in each.items() if fields}


def digest(values: Values) -> str:
    """12 hexadecimal digits of fields and their values, in whatever order."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
