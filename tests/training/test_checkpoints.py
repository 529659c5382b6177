"""Checkpoints: what they hold, which are kept, what is left after damage, and what a bad disk does."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from keras_resnet.host import storage
from keras_resnet.training import checkpoints as module
from keras_resnet.training.checkpoints import Checkpoints, Saved


def values(iteration: int, length: int = 6) -> dict[str, np.ndarray]:
    return {
        "model/hidden.layer/kernel": np.full((length,), iteration, np.float32),
        "optimizer/iteration": np.array(iteration, np.int64),
    }


def difference_from(wanted: dict[str, np.ndarray]):
    shapes = {name: value.shape for name, value in wanted.items()}
    return lambda found: None if found == shapes else f"{found} there, {shapes} here"


def restored(directory, wanted: dict[str, np.ndarray] | None = None) -> tuple[Saved | None, list[str]]:
    """What a new process finds."""
    return Checkpoints(directory).restore(difference_from(wanted or values(0)))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether all bits are equal, and names, shapes and dtypes."""
    one, other = ({name: (x.dtype, x.shape, x.tobytes()) for name, x in arrays.items()} for arrays in (one, other))
    return one == other


def holds(saved: Saved | None, iteration: int) -> bool:
    return saved is not None and same(saved.values, values(iteration)) and saved.progress == {"iteration": iteration}


def save(checkpoints: Checkpoints, iteration: int, **options) -> str:
    return checkpoints.save(iteration, values(iteration), {"iteration": iteration}, **options)


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names_of(*iterations: int) -> list[str]:
    """The files of these checkpoints."""
    return sorted(f"ckpt-{iteration}.npz" for iteration in iterations)


@pytest.fixture
def directory(tmp_path) -> Path:
    """Three checkpoints, of iterations 5, 10 and 100; every value is the iteration."""
    checkpoints = Checkpoints(tmp_path)
    for iteration in (5, 10, 100):
        save(checkpoints, iteration)
    return tmp_path


ARRAYS = {
    "float32": np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 1], np.uint32).view(np.float32),
    "float64": np.array([0x7FF0000000000001, 0x8000000000000000], np.uint64).view(np.float64),
    "float16": np.arange(1 << 16, dtype=np.uint16).view(np.float16),
    "bfloat16": np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16),
    "int32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([[[True], [False]]]),
    "scalar/float": np.array(-0.0, np.float32),
    "scalar/int": np.array(3, np.int64),
    "scalar/bfloat16": np.array(1.5, ml_dtypes.bfloat16),
    "empty": np.zeros((3, 0, 2), np.float16),
    "a/b.c/d..e/.S": np.arange(6.0).reshape(2, 3).T,
    "uint32": np.array([[2**32 - 1]], np.uint32),
    "every/other": np.arange(10, dtype=np.float16)[::2],
    "float8": np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn),
    "progress": np.zeros(1),
    "document.json": np.zeros(2),
    "ä/../n": np.zeros(3),
}


def test_every_bit_comes_back_in_a_new_process(tmp_path):
    progress = {"iteration": 3, "loss": 1 / 3, "schedule": {"best": None, "drops": [1, 2]}, "name": "ä\n"}
    path = Checkpoints(tmp_path).save(3, ARRAYS, progress)
    saved, messages = restored(tmp_path, ARRAYS)
    assert same(saved.values, ARRAYS)
    assert (saved.path, saved.progress, messages) == (path, progress, [])


def test_numpy_reads_a_checkpoint(directory):
    with np.load(directory / "ckpt-100.npz") as arrays:
        assert set(arrays) == {*values(0), "arrays.json", "document.json"}
        np.testing.assert_array_equal(arrays["model/hidden.layer/kernel"], [100] * 6)
        assert arrays["document.json"] == b'{"iteration": 100}'


def test_the_same_content_is_the_same_file(tmp_path):
    paths = [Checkpoints(tmp_path / name).save(3, ARRAYS, {"a": 1}) for name in "ab"]
    assert Path(paths[0]).read_bytes() == Path(paths[1]).read_bytes()


def test_an_array_of_another_byte_order_comes_back_with_its_values(tmp_path):
    Checkpoints(tmp_path).save(1, {"a": np.array([1.5, -2], ">f4")}, {})
    saved, _ = Checkpoints(tmp_path).restore(lambda _: None)
    assert same(saved.values, {"a": np.array([1.5, -2], np.float32)})


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_no_zip_can_hold_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no array of a checkpoint may be named"):
        Checkpoints(tmp_path).save(1, {name: np.zeros(1)}, {})


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([b"a"])])
def test_what_is_no_number_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="must hold numbers. Received: x of "):
        Checkpoints(tmp_path).save(1, {"x": array}, {})


def test_an_empty_directory_has_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none")
    assert checkpoints.restore(lambda _: "") == (None, [])
    assert checkpoints.latest is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [1, 2])
def test_the_latest_ones_are_kept_by_their_iterations_also_by_a_new_process(tmp_path, keep):
    for iterations in ([9, 10], [100, 1000]):
        checkpoints = Checkpoints(tmp_path, keep=keep)
        for iteration in iterations:
            assert save(checkpoints, iteration) == checkpoints.latest
    assert sorted(files(tmp_path)) == names_of(*[10, 100, 1000][-keep:])
    assert checkpoints.latest == f"{tmp_path}/ckpt-1000.npz"


def test_the_best_one_is_kept_until_there_is_a_better_one(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    kept = []
    for iteration, best in [(1, None), (2, 2), (3, 2), (4, 2), (5, 2), (6, 5), (7, 5), (8, 5), (9, 99)]:
        save(checkpoints, iteration, best=best)
        kept.append(sorted(files(tmp_path)))
    expected = [(1,), (1, 2), (2, 3), (2, 3, 4), (2, 4, 5), (5, 6), (5, 6, 7), (5, 7, 8), (8, 9)]
    assert kept == [names_of(*iterations) for iterations in expected]


def test_what_was_just_written_is_kept_though_later_ones_are_there(directory):
    checkpoints = Checkpoints(directory, keep=1)
    save(checkpoints, 7)
    assert sorted(files(directory)) == names_of(7, 100)


def test_a_checkpoint_that_cannot_be_deleted_is_deleted_later(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, 1)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "remove", refuse)
        save(checkpoints, 2)
    assert sorted(files(tmp_path)) == names_of(1, 2)
    save(checkpoints, 3)
    assert sorted(files(tmp_path)) == names_of(3)


def make_leftovers(directory: Path) -> None:
    """What killed writes leave, also those of versions before 0.4: with the names that they leave."""
    for name in (".ckpt-100.npz.17.unfinished", ".ckpt-101.npz.4194304.unfinished", "ckpt-101.data-00000-of-00001"):
        (directory / name).write_bytes(b"half")
    for name in ("ckpt-100.index", "ckpt-102.data-00000-of-00001"):
        (directory / f"{name}.tempstate123").write_bytes(b"half")
    (directory / "ckpt-102_temp").mkdir()
    (directory / "ckpt-102_temp" / "part-00000-of-00001.index").write_bytes(b"half")


def test_what_killed_writes_left_is_deleted_and_nothing_else(directory):
    others = ["checkpoint", "notes.txt", "ckpt-5.txt", "ckpt-best.index", "my-ckpt-3.data-00000-of-00001", "ckpt-7_x"]
    others += ["ckpt-best.npz", ".ckpt-5.npz", "ckpt-5.npz.unfinished", "ckpt-5.npz.gz", ".notes.17.unfinished"]
    for name in others:
        (directory / name).write_text("mine")
    (directory / "folder").mkdir()
    make_leftovers(directory)
    before = files(directory)
    saved, messages = restored(directory)
    assert holds(saved, 100) and not messages
    assert files(directory) == before  # reading deletes nothing: another process may be writing
    save(Checkpoints(directory), 200)
    assert sorted(path.name for path in directory.iterdir()) == sorted([*names_of(10, 100, 200), *others, "folder"])


def flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0xFF
    path.write_bytes(content)


def truncate(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("share", [0, 0.2, 0.6, 0.999])
def test_a_damaged_checkpoint_is_passed_over_and_named(directory, damage, share):
    damage(directory / "ckpt-100.npz", share)
    saved, messages = restored(directory)
    if damage is flip and share == 0.999:  # a byte that means nothing
        assert holds(saved, 100) and not messages
        return
    assert holds(saved, 10)
    assert len(messages) == 1 and messages[0].startswith(f"{directory}/ckpt-100.npz is damaged and was passed over: ")


def test_no_byte_of_a_checkpoint_can_change_what_is_read(directory):
    path = directory / "ckpt-100.npz"
    with zipfile.ZipFile(path) as archive:
        kept = [(info.header_offset, len(info.FileHeader()), info.file_size) for info in archive.infolist()]
    contents = {place for start, header, size in kept for place in range(start + header, start + header + size)}
    whole = path.read_bytes()
    unnoticed = []
    for place in range(len(whole)):
        for damaged in (whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :], whole[:place]):
            path.write_bytes(damaged)
            saved, messages = restored(directory)
            assert holds(saved, 10 if messages else 100), place
            unnoticed += [place] if not messages else []
    # Dates, versions, permissions: what a zip says of its members twice or to nobody.
    assert contents & set(unnoticed) == set()


def test_an_array_that_is_missing_is_noticed(directory):
    path = directory / "ckpt-100.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if "kernel" not in name:
                archive.writestr(name, content)
    saved, [message] = restored(directory)
    assert holds(saved, 10) and message.endswith("it has 1 arrays, and not the 2 of its list")


def test_a_checkpoint_of_a_later_version_is_named_as_such(directory):
    path = directory / "ckpt-100.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b'"format": 1', b'"format": 2'))
    saved, [message] = restored(directory)
    assert holds(saved, 10) and message.endswith("a later version wrote it")


def test_a_damaged_checkpoint_is_not_called_the_last_good_one_and_is_replaced(directory):
    flip(directory / "ckpt-100.npz", 0)
    checkpoints = Checkpoints(directory, keep=2)
    checkpoints.restore(difference_from(values(0)))
    assert checkpoints.latest == f"{directory}/ckpt-10.npz"
    save(checkpoints, 20)
    assert checkpoints.latest == f"{directory}/ckpt-20.npz"
    assert sorted(files(directory)) == names_of(10, 20, 100)  # the damaged one is none of the two
    save(checkpoints, 100)
    assert checkpoints.latest == f"{directory}/ckpt-100.npz"
    assert sorted(files(directory)) == names_of(20, 100)
    assert holds(restored(directory)[0], 100)


def test_without_any_whole_checkpoint_the_run_is_refused_and_nothing_changes(directory):
    for path in directory.iterdir():
        truncate(path)
    before = files(directory)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read\. Choose another `directory`") as error:
        restored(directory)
    assert all(f"ckpt-{iteration}.npz is damaged" in str(error.value) for iteration in (5, 10, 100))
    assert files(directory) == before


def test_a_checkpoint_of_another_network_is_refused_before_any_array_is_read(directory):
    data = directory / "ckpt-100.npz"
    kernel = values(100)["model/hidden.layer/kernel"].tobytes()
    assert kernel in data.read_bytes()
    data.write_bytes(data.read_bytes().replace(kernel, bytes(len(kernel))))  # would be found on reading the array
    asked = []

    def difference(shapes):
        asked.append(dict(shapes))
        return "x has shape (6,) there, shape (7,) here"

    message = (
        "ckpt-100.npz is a checkpoint of another network: x has shape .6,. there, shape .7,. here. Choose another `dir"
    )
    with pytest.raises(ValueError, match=message):
        Checkpoints(directory).restore(difference)
    assert asked == [{"model/hidden.layer/kernel": (6,), "optimizer/iteration": ()}]


def test_an_error_in_the_comparison_is_not_taken_for_damage(directory):
    def difference(shapes):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="^a bug$"):
        Checkpoints(directory).restore(difference)


@contextlib.contextmanager
def largest_file(size: int):
    """No file can grow beyond a size, as on a disk that is full; Python ignores the signal that tells so."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# No room for anything, for some of an array, for the directory of the zip.
@pytest.mark.parametrize(("size", "length"), [(0, 6), (2000, 1000), (1 << 20, 6 << 20), (900, 6)])
def test_a_full_disk_costs_nothing_but_the_new_checkpoint(directory, size, length):
    before = files(directory)
    checkpoints = Checkpoints(directory)
    with pytest.raises(OSError, match="File too large") as error, largest_file(size):
        checkpoints.save(200, values(200, length), {"iteration": 200})
    assert f"the checkpoint of iteration 200 cannot be written to {directory}: " in str(error.value)
    assert f"The last good checkpoint is {directory}/ckpt-100.npz. Free space there, then continue" in str(error.value)
    assert "{{" not in str(error.value) and "\n" not in str(error.value)
    assert files(directory) == before
    assert holds(restored(directory)[0], 100)
    # Once there is space again, the same process goes on.
    save(checkpoints, 200)
    assert holds(restored(directory)[0], 200)
    assert sorted(files(directory)) == names_of(10, 100, 200)


@pytest.mark.parametrize("size", [0, 110, 900])
def test_on_a_full_disk_a_checkpoint_that_was_to_be_replaced_stays(directory, size):
    with pytest.raises(OSError, match=rf"last good checkpoint is {directory}/ckpt-100\.npz\."), largest_file(size):
        Checkpoints(directory).save(100, values(1), {})
    saved, messages = restored(directory)
    assert holds(saved, 100) and not messages


def test_leftovers_are_deleted_before_they_fill_the_disk(directory, monkeypatch):
    make_leftovers(directory)
    seen = []
    monkeypatch.setattr(module, "write_file", lambda *_: seen.extend(sorted(files(directory))))
    save(Checkpoints(directory), 200)
    assert seen == names_of(5, 10, 100)


def test_the_first_checkpoint_can_fail_too(tmp_path):
    with pytest.raises(OSError, match=r"File too large\. There is no earlier one") as error, largest_file(0):
        save(Checkpoints(tmp_path), 1)
    assert "iteration 1 " in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_error_about_the_checkpoint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="the checkpoint of iteration 1 cannot be written to"):
        save(Checkpoints(tmp_path / "file" / "checkpoints"), 1)


def test_a_storage_of_no_known_kind_is_not_an_empty_one():
    checkpoints = Checkpoints("nosuch://bucket/run")
    with pytest.raises(
        OSError, match="the checkpoints in nosuch://bucket/run cannot be listed: nosuch://bucket/run is"
    ):
        checkpoints.restore(lambda _: None)
    with pytest.raises(OSError, match="the checkpoint of iteration 1 cannot be written to nosuch://bucket/run: "):
        save(checkpoints, 1)


def test_a_copied_directory_is_as_good(directory, tmp_path_factory):
    copy = tmp_path_factory.mktemp("elsewhere") / "a *? b"
    shutil.move(directory, copy)
    assert holds(restored(copy)[0], 100)
    save(Checkpoints(f"{copy}/"), 200)
    assert sorted(files(copy)) == names_of(10, 100, 200)


def test_the_name_of_a_directory_is_no_pattern(tmp_path):
    for name in ("rate=[0.1]", "rate=1"):
        save(Checkpoints(tmp_path / name), 5)
    save(Checkpoints(tmp_path / "rate=[0.1]", keep=1), 6)
    assert sorted(files(tmp_path)) == ["rate=1/ckpt-5.npz", "rate=[0.1]/ckpt-6.npz"]
    assert holds(restored(tmp_path / "rate=[0.1]")[0], 6)
    for url in ("memory://a[0]", "gs://bucket/a*", "gs://bucket/a?"):
        with pytest.raises(ValueError, match="`directory` must not contain"):
            Checkpoints(url)


@pytest.fixture
def bucket(monkeypatch) -> type:
    """The storage of `bucket://…`, with what may be wrong with it."""
    fsspec = pytest.importorskip("fsspec")
    from buckets import Bucket

    fsspec.register_implementation("bucket", Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "room", None)
    monkeypatch.setattr(Bucket, "away", False)
    return Bucket  # fsspec makes an object for each thread


def test_everything_works_in_a_bucket(tmp_path, bucket):
    directory = f"bucket://{uuid.uuid4().hex}/run/checkpoints"
    checkpoints = Checkpoints(directory, keep=2, asynchronous=True)
    assert checkpoints.restore(lambda _: None) == (None, [])
    for iteration in (5, 10, 100):
        save(checkpoints, iteration, best=5)
    checkpoints.wait()
    assert storage.names(directory) == names_of(5, 10, 100)
    assert holds(restored(directory)[0], 100)
    for name in ("ckpt-100.npz", "ckpt-7.data-00000-of-00001", "ckpt-7.index.tempstate1", ".ckpt-7.npz.1.unfinished"):
        storage.write(f"{directory}/{name}", b"half")
    saved, [message] = restored(directory)
    assert holds(saved, 10) and message.startswith(f"{directory}/ckpt-100.npz is damaged")
    checkpoints = Checkpoints(directory, keep=2)
    checkpoints.restore(lambda _: None)
    save(checkpoints, 100)
    assert checkpoints.latest == f"{directory}/ckpt-100.npz"
    assert storage.names(directory) == names_of(10, 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 700])
def test_a_bucket_that_is_full_costs_nothing_but_the_new_checkpoint(bucket, room):
    directory = f"bucket://{uuid.uuid4().hex}"
    save(Checkpoints(directory), 100)
    bucket.room = room
    for iteration in (100, 200):
        message = (
            f"the checkpoint of iteration {iteration} cannot be written to {directory}: .*: quota exceeded. The last"
        )
        with pytest.raises(OSError, match=message):
            Checkpoints(directory).save(iteration, values(1), {})
    assert storage.names(directory) == names_of(100)
    assert holds(restored(directory)[0], 100)


def test_a_bucket_that_is_away_is_not_an_empty_one(bucket):
    directory = f"bucket://{uuid.uuid4().hex}"
    save(Checkpoints(directory), 100)
    bucket.away = True
    with pytest.raises(OSError, match=f"the checkpoints in {directory} cannot be listed: .*: no route to host"):
        restored(directory)
    with pytest.raises(OSError, match="the checkpoint of iteration 200 cannot be written"):
        save(Checkpoints(directory), 200)


@pytest.fixture
def gate(monkeypatch):
    """Writing waits for it."""
    event, write = threading.Event(), module.write_file

    def wait_and_write(*arguments):
        assert event.wait(60)
        write(*arguments)

    monkeypatch.setattr(module, "write_file", wait_and_write)
    yield event
    event.set()


def test_in_the_background_save_returns_before_the_checkpoint_is_written(tmp_path, gate):
    checkpoints = Checkpoints(tmp_path, asynchronous=True)
    progress = {"iteration": 1}
    assert checkpoints.save(1, values(1), progress) == f"{tmp_path}/ckpt-1.npz"
    progress["iteration"] = 2
    assert checkpoints.latest is None
    gate.set()
    checkpoints.wait()
    assert holds(restored(tmp_path)[0], 1)


def test_a_save_waits_for_the_one_before(tmp_path, gate):
    checkpoints = Checkpoints(tmp_path, asynchronous=True)
    save(checkpoints, 1)
    threading.Timer(0.3, gate.set).start()
    save(checkpoints, 2)
    assert "ckpt-1.npz" in files(tmp_path)
    checkpoints.wait()
    assert sorted(files(tmp_path)) == names_of(1, 2)


def test_a_restore_waits_for_the_checkpoint_that_is_being_written(tmp_path, gate):
    checkpoints = Checkpoints(tmp_path, asynchronous=True)
    save(checkpoints, 1)
    threading.Timer(0.3, gate.set).start()
    assert holds(checkpoints.restore(lambda _: None)[0], 1)


@pytest.mark.parametrize("call", [lambda checkpoints: save(checkpoints, 2), Checkpoints.wait])
def test_an_error_in_the_background_comes_out_at_the_next_call_and_once(tmp_path, call):
    (tmp_path / "file").touch()
    checkpoints = Checkpoints(tmp_path / "file" / "checkpoints", asynchronous=True)
    save(checkpoints, 1)
    with pytest.raises(OSError, match="the checkpoint of iteration 1 cannot be written to"):
        call(checkpoints)
    (tmp_path / "file").unlink()
    save(checkpoints, 3)
    checkpoints.wait()
    assert sorted(files(tmp_path / "file" / "checkpoints")) == names_of(3)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_disk_that_hangs_does_not_hang_the_training(directory, gate, asynchronous):
    checkpoints = Checkpoints(directory, asynchronous=asynchronous, timeout=0.2)
    message = (
        f"the checkpoint of iteration 200 is not written after 0.2 s: the disk of {directory} is too slow or does not "
        f"answer. The last good checkpoint is {directory}/ckpt-100.npz"
    )
    with pytest.raises(OSError, match=message):
        save(checkpoints, 200) and checkpoints.wait()
    start = time.monotonic()
    with pytest.raises(OSError, match=message):  # it still hangs
        save(checkpoints, 300)
    assert time.monotonic() - start < 2
    gate.set()
    save(checkpoints, 300)
    checkpoints.wait()
    assert sorted(files(directory)) == names_of(100, 200, 300)


def test_a_directory_that_hangs_does_not_hang_the_training_either(tmp_path, monkeypatch):
    answer, names = threading.Event(), storage.names
    monkeypatch.setattr(storage, "names", lambda path: answer.wait(60) and names(path))
    with pytest.raises(OSError, match="is not written after 0.1 s.* No earlier one is known"):
        save(Checkpoints(tmp_path, timeout=0.1), 1)
    answer.set()


# Imports what takes long once, and forks a process for each program that it reads.
PROCESSES = """
import os, sys
import numpy as np
from keras_resnet.training import checkpoints as module
for line in sys.stdin:
    if not (pid := os.fork()):
        print(os.getpid(), flush=True)
        exec(eval(line))
        break
    print("status", os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def process() -> Iterator[Callable[[str], tuple[int, Iterator[str]]]]:
    """Runs a program in a process of its own; gives its number, and its lines as they come, the status at last."""
    command = [sys.executable, "-c", PROCESSES]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}

    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as forker:

        def lines() -> Iterator[str]:
            while not (line := forker.stdout.readline()).startswith("status"):
                assert line, "the forking process ended"
                yield line.strip()
            yield line.strip()

        def start(program: str) -> tuple[int, Iterator[str]]:
            print(repr(program), file=forker.stdin, flush=True)
            return int(forker.stdout.readline()), lines()

        yield start
        os.killpg(forker.pid, signal.SIGKILL)


SAVING = """
checkpoints = module.Checkpoints({directory!r}, keep=2)
for iteration in range({first}, {first} + 10**6):
    values = {{f"{{i}}": np.full((1 << 20,), iteration, np.int32) for i in range(4)}}
    checkpoints.save(iteration, values, {{"iteration": iteration}}, best=iteration // 10 * 10)
    print(iteration, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_its_last_checkpoint(tmp_path, process):
    directory, generator = tmp_path / "checkpoints", random.Random(1)
    last = half_written = 0
    for _ in range(20):
        pid, lines = process(SAVING.format(directory=str(directory), first=last + 1))
        told = next(lines)
        time.sleep(generator.uniform(0, 0.1))
        os.kill(pid, signal.SIGKILL)
        *more, status = lines
        assert status == f"status {signal.SIGKILL}"
        names = {path.name for path in directory.iterdir()}
        half_written += any("unfinished" in name for name in names)
        saved, messages = Checkpoints(directory).restore(lambda _: None)
        last = saved.progress["iteration"]
        assert int([told, *more][-1]) <= last <= int([told, *more][-1]) + 1 and not messages
        assert len(saved.values) == 4 and all((value == last).all() for value in saved.values.values())
    assert half_written >= 3  # or the test showed nothing
    Checkpoints(directory, keep=1).save(last + 1, {}, {})
    assert sorted(files(directory)) == names_of(last + 1)


HANGING = """
import threading, time
writing = threading.Event()
module.write_file = lambda *_: writing.set() or time.sleep(40)
module.Checkpoints({directory!r}, asynchronous=True).save(1, {{}}, {{}})
print(writing.wait(60), flush=True)
"""


def test_no_process_waits_at_its_end_for_what_writes_a_checkpoint(tmp_path, gate):
    before = set(threading.enumerate())
    save(Checkpoints(tmp_path, asynchronous=True), 1)
    assert [thread.daemon for thread in set(threading.enumerate()) - before] == [True]


@pytest.mark.slow
def test_a_process_ends_although_a_checkpoint_hangs(tmp_path, process):
    start = time.monotonic()
    _, lines = process(HANGING.format(directory=str(tmp_path)))
    assert list(lines) == ["True", "status 0"]
    assert time.monotonic() - start < 30
