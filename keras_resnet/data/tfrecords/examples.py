"""The features of `tf.train.Example`, the message that a record holds."""

from __future__ import annotations

import functools
from typing import Any

from keras_resnet.host import protocol_buffers

FIELDS: protocol_buffers.Fields = {
    "BytesList": {"value": (1, "bytes", True)},
    "Int64List": {"value": (1, "int64", True)},
    "Feature": {"bytes_list": (1, "BytesList", False), "int64_list": (3, "Int64List", False)},
    "Entry": {"key": (1, "bytes", False), "value": (2, "Feature", False)},
    "Features": {"feature": (1, "Entry", True)},
    "Example": {"features": (1, "Features", False)},
}
"""The fields of TensorFlow's example.proto; a map is a list of entries."""


class NoExampleError(ValueError):
    """A record holds something else."""


class Example:
    """The features of a record, by name.

    Args:
        record: Its data.

    Raises:
        NoExampleError: if they are not those of an example.
    """

    def __init__(self, record: bytes) -> None:
        from google.protobuf.message import DecodeError

        try:
            entries = _message().FromString(record).features.feature
        except DecodeError as error:
            raise NoExampleError("the record holds no tf.train.Example") from error
        self._features = {entry.key: entry.value for entry in entries}

    @property
    def names(self) -> set[str]:
        """The names of the features."""
        return {name.decode(errors="replace") for name in self._features}

    def content(self, name: str) -> bytes | None:
        """The value of a feature that holds one string of bytes; `None` if there is no such feature."""
        found = self._features.get(name.encode())
        return found.bytes_list.value[0] if found is not None and len(found.bytes_list.value) == 1 else None

    def number(self, name: str) -> int | None:
        """The value of a feature that holds one whole number; `None` if there is no such feature."""
        found = self._features.get(name.encode())
        return found.int64_list.value[0] if found is not None and len(found.int64_list.value) == 1 else None


@functools.cache
def _message() -> Any:
    return protocol_buffers.message_class("Example", FIELDS)
