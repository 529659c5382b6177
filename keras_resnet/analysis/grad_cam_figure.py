"""Figure of a heat map over an image."""

from __future__ import annotations

import numpy as np

from keras_resnet.analysis import drawing


def draw(image: np.ndarray, heat_map: np.ndarray, title: str) -> bytes:
    """Draws an image, and beside it the same in gray under its heat map, with a bar of the map's values.

    Args:
        image: uint8 [height, width, 1 or 3].
        heat_map: float32 [h, w], 0 to 1; stretched over the image.
        title: Above both.

    Returns:
        A PNG file.
    """
    height, width, channels = image.shape
    figure = drawing.new(8.6, 4.4, dpi=120)
    figure.suptitle(title, parse_math=False)
    gray = image.mean(axis=-1)
    left, right = figure.subplots(1, 2)
    left.imshow(gray if channels == 1 else image, cmap="gray", vmin=0, vmax=255)
    right.imshow(gray, cmap="gray", vmin=0, vmax=255)
    over = (-0.5, width - 0.5, height - 0.5, -0.5)
    heat = right.imshow(heat_map, cmap="inferno", vmin=0, vmax=1, alpha=0.6, extent=over, interpolation="bilinear")
    figure.colorbar(heat, ax=right, label="Grad-CAM, 1 at its maximum", shrink=0.8)
    for axes in (left, right):
        axes.set_axis_off()
    return drawing.encoded(figure)
