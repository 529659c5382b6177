"""A file in memory that processes share."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys

import pytest

from keras_resnet.host import memory_file
from keras_resnet.host.memory_file import MemoryFile

WRITER = "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1])).write(1 << 40, [b'from ', b'another'])"


@pytest.fixture(params=["in memory", "temporary"])
def file(request, monkeypatch, tmp_path) -> MemoryFile:
    if request.param == "temporary":
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr(memory_file.tempfile, "tempdir", str(tmp_path))
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    return MemoryFile()


def test_another_process_writes_into_the_same_file(file):
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", WRITER, pickle.dumps(file).hex()]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=True)
    found = bytearray(12)
    file.read(1 << 40, found)
    assert found == b"from another"


def test_what_was_never_written_is_zeros(file):
    file.write(100, [b"x"])
    for offset in (50, 101, 1 << 50):
        found = bytearray(b"abc")
        file.read(offset, found)
        assert found == bytes(3)


def test_it_takes_memory_only_where_something_is(file):
    for number in range(10):
        file.write(number << 32, [b"x"])
    assert os.fstat(file._descriptor).st_blocks * 512 < 200_000


def test_it_is_gone_when_it_is_forgotten(tmp_path, monkeypatch):
    for temporary in (False, True):
        if temporary:
            monkeypatch.delattr(os, "memfd_create", raising=False)
            monkeypatch.setattr(memory_file.tempfile, "tempdir", str(tmp_path))
        file = MemoryFile()
        descriptor = file._descriptor
        del file
        gc.collect()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    assert list(tmp_path.iterdir()) == []
