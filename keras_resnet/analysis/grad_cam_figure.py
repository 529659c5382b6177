"""Figure of a heat map over an image."""

from __future__ import annotations

import numpy as np

from keras_resnet.analysis import drawing


def draw(image: np.ndarray, heat_map: np.ndarray, title: str) -> bytes:
    """Draws an image, and beside it the same with its heat map over it, from blue (0) to red (1).

    Args:
        image: uint8 [height, width, 1 or 3].
        heat_map: float32 [h, w], 0 to 1; stretched over the image.
        title: Above both.

    Returns:
        A PNG file.
    """
    height, width, channels = image.shape
    figure = drawing.new(8.0, 4.4, dpi=120)
    figure.suptitle(title, parse_math=False)
    pixels = image[..., 0] if channels == 1 else image
    for axes in figure.subplots(1, 2):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
    over = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(heat_map, cmap="jet", vmin=0, vmax=1, alpha=0.45, extent=over, interpolation="bilinear")
    return drawing.encoded(figure)
