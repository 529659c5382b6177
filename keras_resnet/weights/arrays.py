"""Weights by the names of our layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_resnet.facts.preprocessing import PREPROCESSING, Preprocessing
from keras_resnet.weights.metadata import WeightsMetadata
from keras_resnet.weights.readers.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a network of ours.

    Args:
        arrays: By layer and variable, such as `conv2_block1_1_bn/gamma`, in Keras's order of axes.
        metadata: All that must be known of them beside; None where a file has none.
        layout: The package that they come from, a key of `conversion.LAYOUTS`; None for this one.
        assumed: What of the metadata their source does not say, so that it follows from the habits of the package:
            `"preprocessing"`, and arguments of the builders.
        checkpoint: What they were converted from; None for this package's.
    """

    arrays: dict[str, np.ndarray]
    metadata: WeightsMetadata | None
    layout: str | None = None
    assumed: frozenset[str] = frozenset()
    checkpoint: Checkpoint | None = None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The normalization of the images, also one that has no name; None where it is unknown."""
        name = self.metadata.preprocessing if self.metadata else None
        if name is not None:
            return PREPROCESSING.get(name)
        return self.checkpoint.preprocessing if self.checkpoint else None

    def stated(self, source: object, **values: Any) -> Weights:
        """The weights with what their user says of them: what was only assumed, or is not known.

        Args:
            source: Name of their file, for errors.
            **values: `preprocessing`, and arguments of the builders of `network_spec.SHAPELESS`; None says nothing.

        Raises:
            ValueError: naming an argument of which the file says something else, or says that it has a normalization of
                its own.
        """
        if self.metadata is None:
            raise ValueError(f"{source} does not say of which network it is: load it into one, and save that again")
        spec, name = self.metadata.spec, values.pop("preprocessing", None)
        changed = {}
        for argument, value in values.items():
            if value is not None and argument in spec.matters:
                self._check(argument, value, getattr(spec, argument), source)
                changed[argument] = value
        if name is not None and self.preprocessing is not None and self.metadata.preprocessing is None:
            raise ValueError(
                f"`preprocessing` must be None: {source} says how images are normalized for it, by another mean and "
                f"deviation than those of the {len(PREPROCESSING)} conventions. Received: {name!r}"
            )
        if name is not None:
            self._check("preprocessing", name, self.metadata.preprocessing, source)
        metadata = replace(
            self.metadata, spec=replace(spec, **changed), preprocessing=name or self.metadata.preprocessing
        )
        return replace(
            self, metadata=metadata, assumed=self.assumed - set(changed) - ({"preprocessing"} if name else set())
        )

    def _check(self, argument: str, value: Any, known: Any, source: object) -> None:
        if argument not in self.assumed and known not in (None, value):
            raise ValueError(
                f"`{argument}` must be None or {known!r}, which {source} says of its weights. Received: {value!r}"
            )
