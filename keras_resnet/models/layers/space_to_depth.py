"""Strided convolution computed without a stride, on an image rearranged in blocks."""

from __future__ import annotations

import keras
from keras import ops


# Keras keys the weights in a file by the name of the class: as `Conv2D`, this layer reads and writes those of Keras's.
@keras.saving.register_keras_serializable(package="keras_resnet")
class Conv2D(keras.layers.Conv2D):
    """Keras's strided convolution with the same variables, so that weights interchange, computed by blocks.

    An image of few channels leaves a matrix unit idle, such as that of a TPU. With stride 2, each block of 2x2 pixels
    becomes one position of four times the channels, and the 7x7 kernel, with a row and a column of zeros behind it, a
    4x4 kernel over blocks with stride 1. The variable stays the 7x7 kernel, and the outputs are those of Keras's layer
    up to rounding.

    Args:
        *args: The arguments of `keras.layers.Conv2D`. The kernel's size must be one more than a multiple of the stride.
        **kwargs: The keyword arguments of `keras.layers.Conv2D`, with `padding="valid"`, no dilation and no groups.

    Input shape:
        (batch, height, width, channels), or with the channels second. Sizes that the stride does not divide are padded
        with zeros, which only the zeros of the kernel meet.

    Output shape:
        (batch, (height - kernel) // stride + 1, (width - kernel) // stride + 1, filters), or with the channels second.

    Raises:
        ValueError: for another padding, size of the kernel, dilation or number of groups.

    Reference:
        Ying et al., 2018, "Image Classification at Supercomputer Scale" (the transformation of the first convolution).
        MLPerf's ResNet-50, where the input pipeline arranges the blocks and the kernel is 4x4.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for argument, only in (("padding", "valid"), ("dilation_rate", (1, 1)), ("groups", 1)):
            received = getattr(self, argument)
            if received != only:
                raise ValueError(f"`{argument}` must be {only!r} in blocks. Received: {argument}={received!r}")
        if any((kernel - 1) % stride for kernel, stride in zip(self.kernel_size, self.strides, strict=True)):
            raise ValueError(
                "`kernel_size` must be one more than a multiple of `strides`, as 7 is of 2. "
                f"Received: kernel_size={self.kernel_size}, strides={self.strides}"
            )

    def convolution_op(self, inputs, kernel):
        images = arrange_in_blocks(inputs, self.strides, self.data_format)
        # The same function arranges both, so that the channels within a block cannot be in different orders.
        kernels = arrange_in_blocks(ops.transpose(kernel, (3, 0, 1, 2)), self.strides, "channels_last")
        return ops.conv(images, ops.transpose(kernels, (1, 2, 3, 0)), data_format=self.data_format)


def arrange_in_blocks(images, block: tuple[int, int], data_format: str):
    """Images with the pixels of each block side by side in the channels: row by row, each with its own channels.

    Args:
        images: [images, height, width, channels], or with the channels second.
        block: Pixels of a block along height and width.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        [images, ceil(height / block[0]), ceil(width / block[1]), block[0] * block[1] * channels], or with the channels
        second. Where a block is not full, it ends in zeros.
    """
    last = data_format == "channels_last"
    size = ops.shape(images)[1:3] if last else ops.shape(images)[2:4]
    missing = [-pixels % side for pixels, side in zip(size, block, strict=True)]
    # An unknown size is a tensor here; a known one that fits is not worth a copy of the images.
    if not all(isinstance(pixels, int) and pixels == 0 for pixels in missing):
        ends = [(0, pixels) for pixels in missing]
        images = ops.pad(images, [(0, 0), *ends, (0, 0)] if last else [(0, 0), (0, 0), *ends])
    number, *shape = ops.shape(images)
    height, width, channels = shape if last else (*shape[1:], shape[0])
    down, across = block
    rows, columns, together = height // down, width // across, down * across * channels
    if last:
        images = ops.reshape(images, (number, rows, down, columns, across, channels))
        return ops.reshape(ops.transpose(images, (0, 1, 3, 2, 4, 5)), (number, rows, columns, together))
    images = ops.reshape(images, (number, channels, rows, down, columns, across))
    return ops.reshape(ops.transpose(images, (0, 3, 5, 1, 2, 4)), (number, together, rows, columns))
