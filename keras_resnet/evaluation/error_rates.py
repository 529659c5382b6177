"""Top-1 and top-5 error over a whole split, every image exactly once."""

from __future__ import annotations

from dataclasses import dataclass


def tops(classes: int) -> tuple[int, ...]:
    """The k of the top-k errors that say something: 1 and 5, or 1 alone where every label is among five classes."""
    return (1, 5) if classes > 5 else (1,)


@dataclass(frozen=True)
class ErrorRates:
    """What was measured on a split."""

    images: int
    """Images counted."""
    loss: float
    """Mean cross-entropy."""
    top1_error: float
    """Percent of the images whose label does not have the largest logit."""
    top5_error: float | None
    """Percent of the images whose label is not among the five largest logits; None of five classes or fewer."""

    @classmethod
    def from_sums(
        cls, counted: float, loss: float, top1: float, top5: float, *, images: int, classes: int
    ) -> ErrorRates:
        """The rates from sums over all images.

        Args:
            counted: Images evaluated.
            loss: Sum of their cross-entropies.
            top1: Images misclassified.
            top5: Images whose label is not among the five largest logits.
            images: How many there are.
            classes: Of the network.

        Raises:
            RuntimeError: if another number was evaluated.
        """
        if counted != images:
            raise RuntimeError(f"{counted:.0f} images were evaluated, but the split has {images}")
        errors = {k: float(100.0 * wrong / counted) for k, wrong in ((1, top1), (5, top5)) if k in tops(classes)}
        return cls(int(counted), float(loss / counted), errors[1], errors.get(5))
