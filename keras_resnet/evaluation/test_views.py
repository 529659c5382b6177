"""Test views: the crops of an image that a network scores in a test, and how the scores are averaged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_resnet.data import roads
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.splits import Split
from keras_resnet.facts.center_crop import RESIZE
from keras_resnet.facts.ten_crops import POSITIONS
from keras_resnet.models.fully_convolutional import fully_convolutional
from keras_resnet.models.residual_network import ResidualNetwork

SHORTER_SIDES = (224, 256, 384, 480, 640)
"""Of the test images, in pixels, where images in training have 224 (He et al., 2015, Section 3.4)."""
INTERPOLATION = "bilinear with antialiasing"


@dataclass(frozen=True)
class EvaluationView:
    """The images of a test on a split, and the model that scores them.

    Attributes:
        batches: One pass over the split, to be closed by `roads.closing`. Elements (images, labels int32 [batch]):
            `images` is a tuple with, for each scale, uint8 [batch, crops, height, width, channels]. A label of -1 marks
            what only fills up a batch.
        prepare: From a network, of uint8 images to logits, to the model of those images: its logits are [batch,
            classes], or [batch, rows, columns, classes].
        protocol: The test in words and numbers, fit for JSON.
    """

    batches: Iterable[Any]
    prepare: Callable[[ResidualNetwork], keras.Model]
    protocol: dict[str, Any]


@dataclass(frozen=True)
class OneScale:
    """Batches of images of one size, each a tuple of its only scale."""

    batches: Iterable[Any]
    """Elements (images, labels)."""
    arrange: Callable[[Any], Any] = lambda images: images
    """From the images of a batch to [batch, crops, height, width, channels]."""

    def __iter__(self) -> Iterator[Any]:
        return (((self.arrange(images),), labels) for images, labels in self.batches)

    def close(self) -> None:
        """Ends what goes on making the batches, if anything does."""
        with roads.closing(self.batches):
            pass


def center(split: Split, *, batch_size: int = 100) -> EvaluationView:
    """The whole image, or of encoded images the center crop: the view of the validations of a training.

    Args:
        split: The images.
        batch_size: Images in a batch.

    Reference:
        He et al., 2015, Section 4.2, for the whole image; Figure 4 for the center crop.
    """
    return EvaluationView(
        OneScale(roads.current().evaluation_batches(split, batch_size=batch_size), lambda images: images[:, None]),
        lambda network: network,
        _crop_protocol(split, ["center"], mirror=False, averaged="nothing"),
    )


def ten_crop(split: Split, *, batch_size: int = 10) -> EvaluationView:
    """Four corners and the center of an encoded image, and their mirror images.

    Args:
        split: The images.
        batch_size: Images in a batch; the network scores ten times as many crops at once.

    Raises:
        ValueError: for images of one size.

    Reference:
        He et al., 2015, Section 3.4, Tables 2 and 3.
    """
    images = _encoded(split, "10-crop")
    return EvaluationView(
        OneScale(roads.current("crop_batches").ten_crop_batches(images, batch_size)),
        lambda network: network,
        _crop_protocol(split, list(POSITIONS), mirror=True, averaged="softmax scores of the ten crops"),
    )


def multi_scale(split: Split, *, shorter_sides: Sequence[int] | None = None, mirror: bool = False) -> EvaluationView:
    """Whole images at several sizes, with the classifier applied at every position.

    The scores are averaged over the positions at each size, and then over the sizes, so that each size counts as much
    as any other. The paper says no more than that scores are averaged over sizes; nor does it say whether mirror images
    are scored as well, as they are in the works that it follows.

    Args:
        split: The images, encoded.
        shorter_sides: In pixels. Defaults to 224, 256, 384, 480 and 640 for images of 224x224 in training, and as much
            larger or smaller for others.
        mirror: Whether mirror images are scored as well.

    Raises:
        ValueError: for images of one size, and for a shorter side below that of the images in training.

    Reference:
        He et al., 2015, Section 3.4, Tables 4 and 5.
    """
    images = _encoded(split, "multi-scale")
    size = images.image_size
    sides = [round(side * size / 224) for side in SHORTER_SIDES] if shorter_sides is None else list(shorter_sides)
    if not sides or min(sides) < size or len(set(sides)) < len(sides):
        raise ValueError(
            f"`shorter_sides` must be different sizes of at least {size}, that of the images in training. "
            f"Received: shorter_sides={sides}"
        )
    return EvaluationView(
        roads.current("crop_batches").multi_scale_batches(images, sides, mirror=mirror),
        functools.partial(fully_convolutional, size=size),
        {
            "shorter_sides": sides,
            "interpolation": INTERPOLATION,
            "crop": None,
            "positions": f"all: average pooling as wide as the last map of {size}x{size} pixels, stride 1",
            "mirror": mirror,
            "averaged": "softmax scores of the positions, then of the sizes",
        },
    )


VIEWS: dict[str, Callable[..., EvaluationView]] = {"center": center, "10-crop": ten_crop, "multi-scale": multi_scale}
"""From a split, and keyword arguments of the view, to the view."""


def _encoded(split: Split, view: str) -> EncodedSplit:
    """The split, if its images are encoded."""
    if isinstance(split, EncodedSplit):
        return split
    height, width, _ = split.image_shape
    raise ValueError(
        f"`view` must be 'center' for images of one size: the paper's tests on them score the whole {height}x{width} "
        f"image, once. Received: view='{view}'"
    )


def _crop_protocol(split: Split, positions: list[str], *, mirror: bool, averaged: str) -> dict[str, Any]:
    height, width, _ = split.image_shape
    resizes = isinstance(split, EncodedSplit)
    return {
        "shorter_sides": [round(height * RESIZE)] if resizes else None,
        "interpolation": INTERPOLATION if resizes else None,
        "crop": f"{height}x{width}" if resizes else None,
        "positions": positions if resizes else "whole image",
        "mirror": mirror,
        "averaged": averaged,
    }
