from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keras_resnet.host import files


@contextmanager
def small_disk() -> Iterator[None]:
    """Lets no file grow beyond 1,000 bytes; no fixture, or it would hold for the file that pytest's output goes to."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_file_is_replaced_wholly(tmp_path):
    files.write(tmp_path / "a.json", files.as_json({"ä": 1}), "")
    files.write(tmp_path / "a.json", files.as_json({"ä": [2]}, indent=1), "")
    assert contents(tmp_path) == {"a.json": '{\n "ä": [\n  2\n ]\n}\n'.encode()}


def test_a_file_that_does_not_fit_leaves_the_old_one_and_no_other(tmp_path):
    files.write(tmp_path / "a.bin", b"o" * 1000, "")
    refused = pytest.raises(OSError, match=f"{tmp_path / 'a.bin'} cannot be written: File too large. Buy a disk")
    with refused, small_disk():
        files.write(tmp_path / "a.bin", bytes(1001), "Buy a disk")
    assert contents(tmp_path) == {"a.bin": b"o" * 1000}


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_named(tmp_path, kind):
    folder = tmp_path / "folder"
    if kind == "file":
        folder.touch()
    with pytest.raises(OSError, match=f"{folder / 'a.txt'} cannot be written: N.* directory. Make it"):
        files.write(folder / "a.txt", b"", "Make it")


def test_a_file_is_replaced_once_it_is_whole_and_not_by_half_of_one(tmp_path):
    file = tmp_path / "network.keras"
    file.write_text("old")

    def fail_halfway():
        with files.replacing(file) as whole:
            whole.write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail_halfway()
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])
    with files.replacing(file) as whole:
        whole.write_text("new")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("new", [file])


def test_names_that_are_no_utf_8_survive_json():
    values = {"class_names": ["Katze", "caf\udce9", "猫"]}
    written = files.as_json(values)
    assert json.loads(written.decode()) == values
    assert "猫" in written.decode()
