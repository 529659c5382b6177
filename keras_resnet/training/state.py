"""Where a training run is: all that a checkpoint keeps beside the variables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass
class State:
    """The iterations done, the sums for the next row of the history, and what the schedule remembers."""

    iteration: int = 0
    loss: float = 0.0
    """Sum over the iterations since the last row."""
    wrong: int = 0
    """Wrongly classified images since the last row."""
    summed: int = 0
    """Iterations since the last row."""
    schedule: dict[str, Any] = field(default_factory=dict)
    best_iteration: int | None = None
    """Of the smallest validation error."""
    best_error: float | None = None
    """That error, in percent."""

    def add(self, losses: np.ndarray, wrong: np.ndarray) -> None:
        """Counts iterations: their losses [k] and numbers of wrongly classified images [k]."""
        # One by one, so that the sum does not depend on how the iterations were divided into calls.
        for loss, wrongs in zip(losses.tolist(), wrong.tolist(), strict=True):
            self.loss += loss
            self.wrong += wrongs
        self.iteration += len(losses)
        self.summed += len(losses)

    def take_means(self, global_batch_size: int) -> tuple[float, float]:
        """(loss, training error in percent) since the last row; the sums begin anew."""
        means = self.loss / self.summed, 100.0 * self.wrong / (self.summed * global_batch_size)
        self.loss, self.wrong, self.summed = 0.0, 0, 0
        return means

    def note_validation(self, error: float) -> bool:
        """Whether a validation error, in percent, is the smallest until now; it is remembered then."""
        best = self.best_error is None or error < self.best_error
        if best:
            self.best_iteration, self.best_error = self.iteration, error
        return best

    def to_json(self) -> dict[str, Any]:
        """Plain values that give back an equal state."""
        return asdict(self)
