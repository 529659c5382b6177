"""The arrays in a `.caffemodel`, a protocol buffer, through Google's library and without Caffe.

A parser of protocol buffers passes over the fields that its messages do not have, so that these few suffice.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from keras_resnet.host import protocol_buffers
from keras_resnet.weights.readers.checkpoint import Checkpoint
from keras_resnet.weights.readers.tensors import float32_of

FIELDS: protocol_buffers.Fields = {
    "Shape": {"dim": (1, "int64", True)},
    "Blob": {
        "num": (1, "int32", False),
        "channels": (2, "int32", False),
        "height": (3, "int32", False),
        "width": (4, "int32", False),
        "data": (5, "float", True),
        "shape": (7, "Shape", False),
        "double_data": (8, "double", True),
    },
    "Layer": {"name": (1, "bytes", False), "blobs": (7, "Blob", True)},
    "LayerBefore2014": {"name": (4, "bytes", False), "blobs": (6, "Blob", True)},
    "Network": {"layers": (2, "LayerBefore2014", True), "layer": (100, "Layer", True)},
}
"""The fields of caffe.proto that hold weights."""


def read_caffe(path: Path) -> Checkpoint:
    """The blobs of every layer, such as `bn_conv1/0`.

    Raises:
        ValueError: if it is no file of Caffe, or damaged.
        ModuleNotFoundError: if protobuf is not installed.
    """
    from google.protobuf.message import DecodeError

    try:
        network = network_message().FromString(path.read_bytes())
        state_dict = {
            f"{layer.name.decode()}/{index}": _array(blob)
            for layer in (*network.layer, *network.layers)
            for index, blob in enumerate(layer.blobs)
        }
    except (DecodeError, ValueError) as error:
        raise ValueError(f"{path} is no .caffemodel, or damaged ({error}); get it again") from error
    if not state_dict:
        raise ValueError(f"{path} is no .caffemodel: it has no layer with weights")
    return Checkpoint({name: float32_of(array, name, path) for name, array in state_dict.items()})


@functools.cache
def network_message() -> type:
    """The class of the message that a `.caffemodel` is."""
    return protocol_buffers.message_class("Network", FIELDS)


def _array(blob) -> np.ndarray:
    """The values of a blob in its shape; before 2014, vectors and matrices had four sides too."""
    values = np.array(blob.double_data) if blob.double_data else np.array(blob.data, "float32")
    if blob.HasField("shape"):
        shape = list(blob.shape.dim)
    else:
        shape = [blob.num, blob.channels, blob.height, blob.width]
        while len(shape) > 1 and shape[0] == 1:
            del shape[0]
    if math.prod(shape) != len(values) or min(shape, default=1) < 0:
        raise ValueError(f"{len(values)} values for the shape {shape}")
    return values.reshape(shape)
