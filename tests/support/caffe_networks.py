"""ResNet-50 as Caffe defines it, on PyTorch's operations, and files of Caffe through Google's protocol buffers.

Neither shares code with the package: the layers and their names are those of the release's prototxt.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch.nn import functional

STAGES = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
TYPES = {"int": 5, "long": 3, "float": 2, "double": 1, "text": 9}
BLOB = [*((name, k, "int", False) for k, name in enumerate(("num", "channels", "height", "width"), start=1))]
MESSAGES = {
    "BlobShape": [("dim", 1, "long", True)],
    "BlobProto": [
        *BLOB,
        ("data", 5, "float", True),
        ("double_data", 8, "double", True),
        ("shape", 7, "BlobShape", False),
    ],
    "LayerParameter": [
        *(
            ("name", 1, "text", False),
            ("type", 2, "text", False),
            ("bottom", 3, "text", True),
            ("phase", 10, "int", False),
        ),
        *(("loss_weight", 5, "float", True), ("blobs", 7, "BlobProto", True)),
    ],
    "V1LayerParameter": [("name", 4, "text", False), ("type", 5, "int", False), ("blobs", 6, "BlobProto", True)],
    "NetParameter": [
        *(("name", 1, "text", False), ("input_dim", 4, "int", True)),
        *(("layer", 100, "LayerParameter", True), ("layers", 2, "V1LayerParameter", True)),
    ],
}
"""Messages of caffe.proto: name, number, type and whether repeated, of the fields that matter here."""


@functools.cache
def message(name: str, packed: bool = True):
    """The class of a message of Caffe."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for title, fields in MESSAGES.items():
        made = file.message_type.add(name=title)
        for field, number, kind, repeated in fields:
            known = {"type": TYPES[kind]} if kind in TYPES else {"type": 11, "type_name": f".caffe.{kind}"}
            added = made.field.add(name=field, number=number, label=3 if repeated else 1, **known)
            added.options.packed = packed and repeated and kind in ("long", "float", "double")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


def write(blobs: dict[str, list[np.ndarray]], path: Path) -> None:
    """A file of Caffe with the blobs of some layers, among layers without any."""
    network = message("NetParameter")(name="ResNet", input_dim=[1, 3, 224, 224])
    for name, arrays in blobs.items():
        layer = network.layer.add(name=name, type="Any", bottom=["data"], phase=1, loss_weight=[0.5])
        for array in arrays:
            blob = layer.blobs.add(data=array.ravel().tolist())  # five times as fast as from an array
            blob.shape.dim.extend(array.shape)
        network.layer.add(name=f"{name}_relu", type="ReLU")
    path.write_bytes(network.SerializeToString())


class Ones:
    """A generator of numbers that are all 1, where only the shapes matter."""

    @staticmethod
    def normal(_mean: float, _deviation: float, shape) -> np.ndarray:
        return np.broadcast_to(np.float32(1), shape)

    uniform = normal


def blobs(classes: int, random=None) -> dict[str, list[np.ndarray]]:
    """Those of ResNet-50 with values of no meaning; statistics are sums, as Caffe keeps them."""
    random = random or np.random.default_rng(0)

    def conv_bn(conv: str, bn: str, outputs: int, inputs: int, kernel: int, bias: bool = False):
        shape = (outputs, inputs, kernel, kernel)
        arrays = [random.normal(0, np.sqrt(2 / (inputs * kernel**2)), shape)]
        made[conv] = [*arrays, random.normal(0, 0.3, outputs)] if bias else arrays
        factor = random.uniform(1, 1000, 1)
        mean, variance = random.normal(0, 0.3, outputs), random.uniform(0.5, 1.5, outputs)
        made[f"bn{bn}"] = [mean * factor, variance * factor, factor]
        made[f"scale{bn}"] = [random.uniform(0.5, 1.5, outputs), random.normal(0, 0.3, outputs)]

    made: dict[str, list[np.ndarray]] = {}
    conv_bn("conv1", "_conv1", 64, 3, 7, bias=True)
    before = 64
    for stage, letters in STAGES.items():
        width = 32 * 2 ** (stage - 1)
        for letter in letters:
            name = f"{stage}{letter}_branch"
            if letter == "a":
                conv_bn(f"res{name}1", f"{name}1", 4 * width, before, 1)
            for part, outputs, inputs, kernel in (
                ("2a", width, before, 1),
                ("2b", width, width, 3),
                ("2c", 4 * width, width, 1),
            ):
                conv_bn(f"res{name}{part}", f"{name}{part}", outputs, inputs, kernel)
            before = 4 * width
    made["fc1000"] = [random.normal(0, 0.1, (classes, before)), random.normal(0, 0.3, classes)]
    return {name: [array.astype("float32") for array in arrays] for name, arrays in made.items()}


def caffe_logits(made: dict[str, list[np.ndarray]], images: np.ndarray) -> np.ndarray:
    """float32 [batch, classes] of images [batch, height, width, 3], blue first and without their mean."""
    layers = {name: [torch.from_numpy(array) for array in arrays] for name, arrays in made.items()}

    def conv_bn(x, conv: str, bn: str, stride: int, pad: int):
        x = functional.conv2d(x, *layers[conv], stride=stride, padding=pad)
        mean, variance, factor = layers[f"bn{bn}"]
        each = (1, -1, 1, 1)
        x = (x - (mean / factor).view(each)) / torch.sqrt((variance / factor).view(each) + 1e-5)
        gamma, beta = layers[f"scale{bn}"]
        return x * gamma.view(each) + beta.view(each)

    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        x = functional.max_pool2d(conv_bn(x, "conv1", "_conv1", 2, 3).relu(), 3, 2, ceil_mode=True)
        for stage, letters in STAGES.items():
            for letter in letters:
                name, stride = f"{stage}{letter}_branch", 2 if letter == "a" and stage > 2 else 1
                y = conv_bn(x, f"res{name}2a", f"{name}2a", stride, 0).relu()
                y = conv_bn(y, f"res{name}2b", f"{name}2b", 1, 1).relu()
                y = conv_bn(y, f"res{name}2c", f"{name}2c", 1, 0)
                x = conv_bn(x, f"res{name}1", f"{name}1", stride, 0) if letter == "a" else x
                x = (x + y).relu()
        return functional.linear(x.mean((2, 3)), *layers["fc1000"]).numpy()
