"""Layer responses: the standard deviations of Figure 7."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
from keras import ops

from keras_resnet.models import compiled
from keras_resnet.models.layers import Rematerialized


def layer_responses(network: keras.Model, batches: Iterable[np.ndarray]) -> list[tuple[str, float]]:
    """The standard deviation of the output of each 3x3 layer, before the nonlinearity and the addition.

    The output is that of the batch normalization behind a 3x3 convolution; of the convolution itself where there is
    none, as at the end of a block whose activation comes first. The deviation is taken over all images, positions and
    channels, with the moving statistics, and exact: sums are in float64; on JAX, those over the positions of an image
    in float32.

    Args:
        network: Of this package.
        batches: Images [batch, height, width, channels] as the network takes them; a batch may be smaller than others.

    Returns:
        (name of the layer, standard deviation), in the network's order.

    Raises:
        ValueError: if the network has no 3x3 layer, if there is no image, or if a response is not finite.

    Reference:
        He et al., 2015, Section 4.2, "Analysis of Layer Responses", and Figure 7.
    """
    responses = dict(_responses(network))
    if not responses:
        raise ValueError(f"`network` must have 3x3 convolutions of this package. {network.name!r} has none")
    measured = keras.Model(network.inputs, list(responses.values()))
    [image] = network.inputs
    precision = "float32" if keras.backend.backend() == "jax" else "float64"  # JAX has no other unless asked

    def over_positions(outputs):
        """[3, batch, channels] of each output: the number of its values, their sum, and that of their squares."""
        wide = (ops.cast(output, precision) for output in outputs)
        return [ops.stack([ops.sum(x, axis=(1, 2)) for x in (ops.ones_like(y), y, y * y)]) for y in wide]

    run = compiled.of_images(measured, over_positions)

    def sums(images: np.ndarray) -> np.ndarray:
        """float64 [layers, 3]: numbers, their sum, and that of their squares."""
        return np.array([part.sum(axis=(1, 2), dtype=np.float64) for part in run(images)])

    # Without images there is nothing to sum, and oneDNN's convolution of none has the shape of its input.
    sums_of_batches = (sums(images.astype(image.dtype)) for images in batches if len(images))
    totals = sum(sums_of_batches, np.zeros([len(responses), 3]))
    count, total, squares = totals.T
    if not count.all():
        raise ValueError("`batches` must hold at least one image. Received: none")
    deviations = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0))
    for name, deviation in zip(responses, deviations, strict=True):
        if not np.isfinite(deviation):
            raise ValueError(f"The responses of a network must be finite. Those of {name} are not")
    return list(zip(responses, deviations.tolist(), strict=True))


def _responses(network: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """(name of the layer, symbolic output) of each 3x3 layer."""
    layers = {layer.name: layer for layer in network.operations}
    for name, layer in layers.items():
        if isinstance(layer, Rematerialized):
            inner = dict(_responses(layer.block))
            # The tensors within are the block's alone: it is run once more, on what the layer is given.
            yield from zip(inner, keras.Model(layer.block.inputs, list(inner.values()))(layer.input), strict=True)
        elif name.endswith("_conv") and layer.kernel_size == (3, 3):
            response = layers.get(name.removesuffix("conv") + "bn", layer)
            yield response.name, response.output
