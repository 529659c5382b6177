"""Where a training run is: all that a checkpoint keeps beside the variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

RENAMED = {"wrong": "misclassified"}
"""Fields by their names in the checkpoints of 0.1."""


@dataclass
class State:
    """The iterations done, the sums for the next row of the history, and what the schedule remembers."""

    iteration: int = 0
    loss: float = 0.0
    """Sum over the iterations since the last row."""
    misclassified: int = 0
    """Images since the last row."""
    summed: int = 0
    """Iterations since the last row."""
    schedule: dict[str, Any] = field(default_factory=dict)
    best_iteration: int | None = None
    """Of the smallest validation error."""
    best_error: float | None = None
    """That error, in percent."""

    def add(self, losses: np.ndarray, misclassified: np.ndarray) -> None:
        """Counts iterations: their losses [k] and numbers of misclassified images [k]."""
        # One by one, so that the sum does not depend on how many iterations ran at once.
        for loss, images in zip(losses.tolist(), misclassified.tolist(), strict=True):
            self.loss += loss
            self.misclassified += images
        self.iteration += len(losses)
        self.summed += len(losses)

    def take_means(self, global_batch_size: int) -> tuple[float, float]:
        """(loss, training error in percent) since the last row; the sums begin anew."""
        means = self.loss / self.summed, 100.0 * self.misclassified / (self.summed * global_batch_size)
        self.loss, self.misclassified, self.summed = 0.0, 0, 0
        return means

    def note_validation(self, error: float) -> bool:
        """Whether a validation error, in percent, is the smallest until now; it is remembered then."""
        best = self.best_error is None or error < self.best_error
        if best:
            self.best_iteration, self.best_error = self.iteration, error
        return best

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> State:
        """The state of a `to_json`, also of 0.1."""
        return cls(**{RENAMED.get(name, name): value for name, value in document.items()})

    def to_json(self) -> dict[str, Any]:
        """Plain values that give back an equal state."""
        return asdict(self)
