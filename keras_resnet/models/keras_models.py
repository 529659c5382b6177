"""Weights of models of Keras that other packages or their users have built, and what the graph says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_resnet.facts.network_spec import NetworkSpec
from keras_resnet.facts.preprocessing import Preprocessing
from keras_resnet.models.functional import calling
from keras_resnet.models.residual_network import inner_layers
from keras_resnet.weights.arrays import Weights
from keras_resnet.weights.conversion import LAYOUTS, converted, detect
from keras_resnet.weights.readers.checkpoint import Checkpoint

LEVELS = 255.0
"""The largest gray level."""


def converted_model(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> Weights:
    """The weights of a model, with all that its layers say beside: preprocessing, strides, padding of the pool.

    Args:
        model: With the names of a layout of `LAYOUTS`, alone or as a part.
        arrays: Its variables by layer and name.

    Raises:
        ValueError: if it is no network of ours, or has other strides or dilation.
    """
    own = {layer.name for layer in inner_layers(model) if isinstance(layer, keras.layers.Normalization)}
    state_dict = {name: array for name, array in arrays.items() if name.partition("/")[0] not in own}
    layout = detect(state_dict)
    first = LAYOUTS[layout].name_of("conv1_conv/kernel", 0).partition("/")[0]
    layers = {layer.name: layer for layer in inner_layers(model)}
    try:
        front, unknown = normalization_in_front(model, layers[first]), False
    except ValueError:
        front, unknown = None, True
    weights = converted(Checkpoint(state_dict, preprocessing=front, has_front=unknown))
    said = graph_says(layers, layout, weights.metadata.spec)
    spec = replace(weights.metadata.spec, **said)
    return replace(weights, metadata=replace(weights.metadata, spec=spec), assumed=weights.assumed - set(said))


def normalization_in_front(model: keras.Model, first: keras.layers.Layer) -> Preprocessing | None:
    """What the layers in front of the first convolution make of an image.

    Found with images of one color, of which each channel must come out as (channel - mean) / deviation, in the order
    of the input or the reverse.

    Args:
        model: From images to anything.
        first: Its first convolution.

    Returns:
        The normalization; None where the images come as they are.

    Raises:
        ValueError: if the layers make something else of an image, or cannot be tried.
    """
    channels = first.kernel.shape[-2]
    random = np.random.default_rng(0).integers(0, 256, (3, channels))
    colors = np.concatenate([np.zeros((1, channels)), LEVELS * np.eye(channels), random]).astype("float32")
    seen = _seen(model, first, colors)
    offset = seen[0].astype("float64")
    matrix = (seen[1 : channels + 1] - offset) / LEVELS  # [color of the image, color that is seen]
    if not np.allclose(seen, colors @ matrix + offset, atol=1e-3 * max(1.0, np.abs(seen).max())):
        raise ValueError("the layers in front of the first convolution are not linear")
    for reverses in (False, True)[: 1 + (channels > 1)]:
        turned = matrix[:, ::-1] if reverses else matrix
        scale, shift = np.diag(turned), offset[::-1] if reverses else offset
        if (scale > 0).all() and np.abs(turned - np.diag(scale)).max() < 1e-4 * scale.max():
            if not reverses and np.allclose(scale, 1, atol=1e-6) and np.allclose(shift, 0, atol=1e-4):
                return None
            return Preprocessing(tuple((-shift / scale).tolist()), tuple((1 / scale).tolist()), reverses)
    raise ValueError("the layers in front of the first convolution mix the channels")


def graph_says(layers: Mapping[str, keras.layers.Layer], layout: str, spec: NetworkSpec) -> dict[str, Any]:
    """The arguments of the builders that the layers of a model show.

    Raises:
        ValueError: naming a layer with other strides than a network of ours has, or with dilation.
    """
    name_of = LAYOUTS[layout].name_of

    def layer(name: str) -> Any:
        return layers[name_of(f"{name}/kernel", spec.depth).partition("/")[0]]

    said: dict[str, Any] = {}
    for block in spec.architecture.plan(spec.preactivation):
        convolutions = [layer(f"{block.name}_{number}_conv") for number in (1, 2)]
        strides = [convolution.strides[0] for convolution in convolutions]
        dilated = [convolution.name for convolution in convolutions if convolution.dilation_rate[0] != 1]
        if dilated or np.prod(strides) != block.strides:
            raise ValueError(
                f"The weights must be of a network of the paper, with the stride {block.strides} in {block.name}. "
                f"Received: the strides {strides[0]} and {strides[1]}{', with dilation' * bool(dilated)}"
            )
        if spec.block == "bottleneck" and block.strides > 1:
            said["bottleneck_stride"] = "1x1" if strides[0] > 1 else "3x3"
    pool = layers.get("pool1_pool")
    if pool is not None and (pool.padding == "same" or "pool1_pad" in layers):
        said["pool_padding"] = "same" if pool.padding == "same" else "symmetric"
    return said


class _Arrived(BaseException):
    """The images have come to the first convolution; no error, so that no layer turns it into one."""


def _seen(model: keras.Model, first: keras.layers.Layer, colors: np.ndarray) -> np.ndarray:
    """The colors that the first convolution is given for images of one color each: float32 [images, channels].

    Raises:
        ValueError: if the model does not take such images, or if two of their pixels come out differently.
    """
    arrived = []

    def catch(x, *arguments, **options):
        arrived.append(keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")))
        raise _Arrived

    last = first.data_format == "channels_last"
    try:
        [image] = model.inputs
        shape = image.shape
        height, width = (shape[1:3] if last else shape[2:4]) if len(shape) == 4 else (0, 0)
        images = np.broadcast_to(colors[:, None, None], (len(colors), height or 64, width or 64, colors.shape[1]))
        images = images if last else images.transpose(0, 3, 1, 2)
        pixels = keras.ops.cast(np.ascontiguousarray(images), image.dtype)
        with contextlib.suppress(_Arrived), calling(first, catch):
            model(keras.tree.pack_sequence_as(model.input, [pixels]), training=False)
    except Exception as error:  # whatever the layers of another package raise
        raise ValueError("the layers in front of the first convolution cannot be tried") from error
    if not arrived:
        raise ValueError("no image comes to the first convolution")
    [found] = arrived
    found = found if last else found.transpose(0, 2, 3, 1)
    height, width = found.shape[1:3]
    middle, other = found[:, height // 2, width // 2], found[:, height // 3, width // 3]
    if found.shape[-1] != colors.shape[1] or not np.allclose(middle, other, atol=1e-3):
        raise ValueError("the layers in front of the first convolution treat pixels differently")
    return middle
