"""A checkpoint on its way to every process."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from keras_resnet.training import restoring
from keras_resnet.training.backend import OneProcess, on_chief
from keras_resnet.training.checkpoints import Checkpoints

VALUES = {"model/a/kernel": np.arange(6, dtype="float32").reshape(2, 3), "optimizer/iteration": np.array(7)}
PROGRESS = {"state": {"iteration": 7, "best": None}, "history": [[7, 0.1, None]]}


@dataclass
class Wire:
    """What the chief has sent, in order."""

    messages: list[bytes] = field(default_factory=list)


@dataclass
class OneOfTwo:
    """A process whose chief, if it is not the chief itself, has run before."""

    wire: Wire
    is_chief: bool
    count = 2

    def broadcast(self, message: bytes | None) -> bytes:
        if self.is_chief:
            self.wire.messages.append(message or b"")
            return message or b""
        return self.wire.messages.pop(0)


def assert_same(content) -> None:
    values, progress = content
    assert progress == PROGRESS
    assert list(values) == list(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(values[name], value)
        assert values[name].dtype == value.dtype


def test_what_was_packed_comes_back():
    assert_same(restoring.unpack(restoring.pack(VALUES, PROGRESS)))


def test_every_process_gets_the_checkpoint_that_the_chief_alone_can_read(tmp_path):
    Checkpoints(tmp_path).save(7, VALUES, PROGRESS)
    wire = Wire()
    for processes, checkpoints in ((OneOfTwo(wire, True), Checkpoints(tmp_path)), (OneOfTwo(wire, False), None)):
        content, messages = restoring.read(processes, checkpoints, lambda shapes: None)
        assert_same(content)
        assert messages == []
    assert wire.messages == []
    assert_same(restoring.read(OneProcess(), Checkpoints(tmp_path), lambda shapes: None)[0])


def test_no_process_gets_a_checkpoint_where_there_is_none(tmp_path):
    wire = Wire()
    for processes, checkpoints in ((OneOfTwo(wire, True), Checkpoints(tmp_path)), (OneOfTwo(wire, False), None)):
        assert restoring.read(processes, checkpoints, lambda shapes: None) == (None, [])


def test_what_the_chief_refuses_is_refused_in_every_process():
    wire = Wire()

    def refuse():
        raise FileExistsError("it is there")

    with pytest.raises(FileExistsError, match="^it is there$"):
        on_chief(OneOfTwo(wire, True), refuse)
    with pytest.raises(ValueError, match="^worker 0 says: it is there$"):
        on_chief(OneOfTwo(wire, False), refuse)
    assert on_chief(OneOfTwo(wire, True), lambda: "done") == "done"
    assert on_chief(OneOfTwo(wire, False), refuse) is None
