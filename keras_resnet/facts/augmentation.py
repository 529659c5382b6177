"""The operations of data augmentation as facts: their order, the images that they suit, constants and random numbers.

The functions are in `data.tensorflow.augmentation` and its twins, one table for each kind of images; a test ties those
tables to this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from keras_resnet import validation

Operation = Literal["pad-crop", "random-scale-crop", "random-resized-crop", "flip", "color-jitter", "color-noise"]
Images = Literal["fixed-size", "encoded"]
"""Images of one size that lie in memory, or image files of any size."""

SCALES = (256 / 224, 480 / 224)
"""Smallest and largest shorter side of an image over the side of its crop (He et al., 2015, Section 3.4)."""
AREA = (0.08, 1.0)
"""Smallest and largest share of an image in its window (Szegedy et al., 2015, Section 6)."""
ASPECT_RATIO = (3 / 4, 4 / 3)
"""Narrowest and widest window, width over height (Szegedy et al., 2015, Section 6)."""

PRINCIPAL_COLORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Red, green and blue (rows) of the principal components (columns) of ImageNet's pixels (fb.resnet.torch)."""
COLOR_VARIANCES = (0.2175, 0.0188, 0.0045)
"""Variance of the pixels along each component, for pixels of 0 to 1 (fb.resnet.torch)."""
COLOR_NOISE = 0.1
"""Standard deviation of the noise, in those units (Krizhevsky et al., 2012, Section 4.1)."""
JITTER = 0.4
"""Largest relative change of brightness, contrast and saturation (fb.resnet.torch)."""


@dataclass(frozen=True)
class OperationFacts:
    """Facts of an operation."""

    draws: int
    """Uniform random numbers that it takes for each image."""
    images: tuple[Images, ...]
    """The images that it suits."""
    crops: bool = False
    """Whether it chooses a window of the image; of these an augmentation has at most one."""


OPERATIONS: dict[str, OperationFacts] = {
    # A crop with a margin of zeros (He et al., 2015, Section 4.2).
    "pad-crop": OperationFacts(2, ("fixed-size",), crops=True),
    # A square crop from a random shorter side (He et al., 2015, Section 3.4).
    "random-scale-crop": OperationFacts(3, ("encoded",), crops=True),
    # A crop of random area and aspect ratio (Szegedy et al., 2015, Section 6).
    "random-resized-crop": OperationFacts(4, ("encoded",), crops=True),
    # Left to right, for half of the images.
    "flip": OperationFacts(1, ("fixed-size", "encoded")),
    # Brightness, contrast and saturation (fb.resnet.torch).
    "color-jitter": OperationFacts(3, ("encoded",)),
    # Along the principal components of ImageNet's pixels (Krizhevsky et al., 2012, Section 4.1).
    "color-noise": OperationFacts(3, ("encoded",)),
}
"""Every operation, in the order in which an augmentation has them."""


def suiting(images: Images) -> tuple[str, ...]:
    """The operations that suit a kind of images, in their order."""
    return tuple(name for name, facts in OPERATIONS.items() if images in facts.images)


def check(augmentation: Sequence[str], images: Images) -> None:
    """Refuses an augmentation that such images cannot have.

    One order for all, so that equal trainings are written alike.

    Args:
        augmentation: Names of operations.
        images: What they are to be applied to.

    Raises:
        ValueError: if an operation is unknown or does not suit the images, if there are two crops, or if the order is
            another than that of `OPERATIONS`.
    """
    allowed = suiting(images)
    unknown = (
        [augmentation] if isinstance(augmentation, str) else [name for name in augmentation if name not in allowed]
    )
    if unknown:
        rule = f"a list of operations for {images} images, any of {', '.join(allowed)}"
        validation.refuse("augmentation", rule, augmentation, validation.nearest(unknown[0], allowed))
    if sum(OPERATIONS[name].crops for name in augmentation) > 1:
        validation.refuse("augmentation", "a list with one crop at most", augmentation)
    if list(augmentation) != [name for name in allowed if name in augmentation]:
        rule = f"a list without repetition, in the order {', '.join(allowed)}"
        validation.refuse("augmentation", rule, augmentation)


def draws(augmentation: Sequence[str]) -> int:
    """The uniform random numbers that an augmentation takes for each image."""
    return sum(OPERATIONS[name].draws for name in augmentation)


def with_columns(augmentation: Sequence[str]) -> Iterator[tuple[str, slice]]:
    """Every operation of an augmentation, with the columns of its random numbers among those of all."""
    start = 0
    for name in augmentation:
        stop = start + OPERATIONS[name].draws
        yield name, slice(start, stop)
        start = stop
