"""Top-1 and top-5 error over a whole split, every image exactly once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorRates:
    """What was measured on a split."""

    images: int
    """Images counted."""
    loss: float
    """Mean cross-entropy."""
    top1_error: float
    """Percent of the images whose label does not have the largest logit."""
    top5_error: float
    """Percent of the images whose label is not among the five largest logits."""

    @classmethod
    def from_sums(cls, counted: float, loss: float, top1: float, top5: float, *, images: int) -> ErrorRates:
        """The rates from sums over all images.

        Args:
            counted: Images evaluated.
            loss: Sum of their cross-entropies.
            top1: Images misclassified.
            top5: Images whose label is not among the five largest logits.
            images: How many there are.

        Raises:
            RuntimeError: if another number was evaluated.
        """
        if counted != images:
            raise RuntimeError(f"{counted:.0f} images were evaluated, but the split has {images}")
        return cls(int(counted), *(float(part / counted) for part in (loss, 100.0 * top1, 100.0 * top5)))
