"""The arrays in a `.caffemodel`, a protocol buffer, through Google's library and without Caffe.

A parser of protocol buffers passes over the fields that its messages do not have, so that these few suffice.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from keras_resnet.weights.readers.checkpoint import Checkpoint
from keras_resnet.weights.readers.tensors import float32_of

FIELDS: dict[str, dict[str, tuple[int, str, bool]]] = {
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
"""The fields of caffe.proto that hold weights: message -> field -> number, type, whether it is repeated."""


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
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe_weights", syntax="proto2")
    for message, fields in FIELDS.items():
        added = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            field = added.field.add(name=name, number=number, label=label)
            if kind in FIELDS:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".caffe_weights.{kind}"
            else:
                field.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe_weights.Network"))


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
