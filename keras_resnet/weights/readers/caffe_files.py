"""The arrays in a `.caffemodel`, a protocol buffer that is read here without Caffe and without executing anything.

A message is a sequence of fields: a number with the kind of its value, and the value. What is not looked for is passed
over, as in every reader of protocol buffers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LAYERS = {100: (1, 7), 2: (4, 6)}
"""Fields of a network that hold layers, the second from before 2014: in them, the fields of the name and the blobs."""
SHAPE, SIDES = 7, (1, 2, 3, 4)
"""Fields of a blob that hold its shape; before 2014 num, channels, height and width."""
VALUES = {5: np.dtype("<f4"), 8: np.dtype("<f8")}
"""Fields of a blob that hold its values."""
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Kinds of value on the wire."""


def read_caffe(path: Path) -> dict[str, np.ndarray]:
    """The blobs of every layer, such as `bn_conv1/0`.

    Raises:
        ValueError: if it is no file of Caffe, or damaged.
    """
    try:
        found = dict(_blobs(memoryview(path.read_bytes())))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no .caffemodel, or damaged ({error}); get it again") from error
    if not found:
        raise ValueError(f"{path} is no .caffemodel: it has no layer with weights")
    return found


def _blobs(network: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    for number, layer in fields(network):
        if number in LAYERS:
            name_field, blobs_field = LAYERS[number]
            values = by_number(layer)
            name = b"".join(values[name_field]).decode()
            yield from ((f"{name}/{index}", _array(blob)) for index, blob in enumerate(values[blobs_field]))


def _array(blob: memoryview) -> np.ndarray:
    values = by_number(blob)
    array = np.concatenate([np.frombuffer(b"".join(values[number]), dtype) for number, dtype in VALUES.items()])
    if values[SHAPE]:
        shape = [side for _, part in fields(values[SHAPE][0]) for side in _integers(part)]
    else:
        shape = [(values[side] or [0])[0] for side in SIDES]
        while len(shape) > 1 and shape[0] == 1:  # vectors and matrices had four sides too
            del shape[0]
    if math.prod(shape) != len(array):
        raise ValueError(f"{len(array)} values for the shape {shape}")
    return array.reshape(shape)


def by_number(message: memoryview) -> defaultdict[int, list]:
    """The values of each field of a message.

    Raises:
        ValueError: as `fields`.
    """
    values = defaultdict(list)
    for number, value in fields(message):
        values[number].append(value)
    return values


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: an integer, or the bytes of a number, a text or a message.

    Raises:
        ValueError: if it ends early, or is no message.
    """
    position = 0
    while position < len(message):
        key, position = _integer(message, position)
        number, kind = key >> 3, key & 7
        if not number or kind not in (VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES):
            raise ValueError(f"there is no field {number} of kind {kind}")
        if kind == VARINT:
            value, position = _integer(message, position)
            yield number, value
            continue
        size = 8 if kind == EIGHT_BYTES else 4
        if kind == LENGTH:
            size, position = _integer(message, position)
        if position + size > len(message):
            raise ValueError("it ends early")
        yield number, message[position : position + size]
        position += size


def _integer(message: memoryview, position: int) -> tuple[int, int]:
    """An integer, 7 bits a byte, the lowest first, and the position after it."""
    value = 0
    for index in range(10):
        if position + index >= len(message):
            raise ValueError("it ends early")
        byte = message[position + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, position + index + 1
    raise ValueError("an integer of more than 10 bytes")


def _integers(part: int | memoryview) -> Iterator[int]:
    """Integers that stand alone or together."""
    if isinstance(part, int):
        yield part
        return
    position = 0
    while position < len(part):
        value, position = _integer(part, position)
        yield value
