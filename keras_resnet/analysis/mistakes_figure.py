"""Figure of images that a network mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keras_resnet.analysis import drawing

COLUMNS = 5
"""Images side by side."""
SHOWN = 20
"""The most images of a figure."""


def draw(images: Sequence[np.ndarray], captions: Sequence[str], title: str) -> bytes:
    """Draws images in a grid, each below its caption.

    Args:
        images: uint8 [height, width, 1 or 3] each, the first in the upper left corner; none if there is no mistake.
        captions: One for each image, of one or more lines.
        title: Above all.

    Returns:
        A PNG file.
    """
    rows = max(math.ceil(len(images) / COLUMNS), 1)
    figure = drawing.new(2.2 * COLUMNS, 2.7 * rows + 0.5, dpi=120)
    figure.suptitle(title, parse_math=False)
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, image, caption in zip(places, images, captions, strict=False):
        axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8, parse_math=False)
    return drawing.encoded(figure)
