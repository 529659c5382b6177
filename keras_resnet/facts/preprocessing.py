"""Conventions by which images are normalized before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """(image - mean) / deviation, for each channel.

    Args:
        mean: Of red, green and blue, in gray levels of 0 to 255.
        deviation: Of red, green and blue, in gray levels.
        reverses: Whether the channels come in the order blue, green, red.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    reverses: bool = False

    def equals(self, other: Preprocessing) -> bool:
        """Whether no image differs by more than a hundredth of a gray level."""
        if self.reverses != other.reverses or len(self.mean) != len(other.mean):
            return False
        means = zip(self.mean, other.mean, strict=True)
        deviations = zip(self.deviation, other.deviation, strict=True)
        return all(abs(a - b) < 0.005 for a, b in means) and all(abs(a / b - 1) < 2e-5 for a, b in deviations)


PREPROCESSING: dict[str, Preprocessing] = {
    "torch": Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": Preprocessing((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), reverses=True),
    "tf": Preprocessing((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
}
"""The three conventions under the names that `keras.applications` gave them as `mode`."""


def name_of(preprocessing: Preprocessing) -> str | None:
    """The key of `PREPROCESSING` under which a convention stands; None if it has none."""
    return next((name for name, row in PREPROCESSING.items() if row.equals(preprocessing)), None)
