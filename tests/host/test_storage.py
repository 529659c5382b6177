from __future__ import annotations

import sys
import uuid

import pytest

from keras_resnet.host import storage


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """A directory on this machine, or in a storage that only fsspec reaches."""
    if request.param == "folder":
        return str(tmp_path)
    pytest.importorskip("fsspec")
    directory = f"memory://{uuid.uuid4().hex}"
    storage.make_directories(directory)
    return directory


def test_a_file_comes_back_whole_and_in_part(place):
    path = storage.join(place, "some/file")
    storage.make_directories(storage.join(place, "some"))
    storage.write(path, b"0123456789")
    assert storage.read(path) == b"0123456789"
    assert storage.read_part(path, 3, 4) == b"3456" and storage.read_part(path, 8, 10) == b"89"
    assert storage.status(path).size == 10 and storage.status(path).modified >= 0
    assert storage.names(storage.join(place, "some")) == ["file"]
    assert storage.exists(path) and not storage.is_directory(path)
    with storage.open_file(path, "r") as text:
        assert text.read() == "0123456789"


def test_a_directory_is_listed_and_removed(place):
    for name in ("b", "a", "c/d"):
        storage.make_directories(storage.join(place, "x/c"))
        storage.write(storage.join(place, f"x/{name}"), b"1")
    assert storage.names(storage.join(place, "x")) == ["a", "b", "c"]
    assert storage.is_directory(storage.join(place, "x/c"))
    storage.remove(storage.join(place, "x/a"))
    assert not storage.exists(storage.join(place, "x/a"))
    storage.remove(storage.join(place, "x"))
    assert not storage.exists(storage.join(place, "x"))


def test_what_is_missing_is_named(place):
    missing = storage.join(place, "missing")
    for function in (storage.read, storage.status, storage.names, storage.remove):
        with pytest.raises(FileNotFoundError, match="missing"):
            function(missing)
    assert not storage.exists(missing) and not storage.is_directory(missing)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    storage.write(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        storage.write(path, b"new")
    assert path.read_bytes() == b"old" and storage.names(tmp_path) == ["file"]


def test_a_large_file_takes_the_place_of_another_once_it_is_whole(place):
    path = storage.join(place, "file")
    storage.write(path, b"old")

    def write_half():
        with storage.replacing(path) as file:
            file.write(b"ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_half()
    assert storage.read(path) == b"old" and storage.names(place) == ["file"]
    with storage.replacing(path) as file:
        file.write(b"ne")
        assert storage.read(path) == b"old"
        file.write(b"w")
    assert storage.read(path) == b"new" and storage.names(place) == ["file"]


def test_a_path_is_no_pattern(place):
    for name in ("a1", "a2", "a*"):
        storage.write(storage.join(place, name), b"1")
    storage.remove(storage.join(place, "a*"))
    assert storage.names(place) == ["a1", "a2"]


def test_a_missing_package_and_an_unknown_storage_are_named(monkeypatch):
    with pytest.raises(OSError, match=r"nothing://x is of no known kind of storage"):
        storage.read("nothing://x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(OSError, match="gs://bucket/x needs a package that is not installed: pip install fsspec gcsfs"):
        storage.read("gs://bucket/x")
