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
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.training import checkpoints as module
from keras_resnet.training.checkpoints import Checkpoints, Saved

SUFFIXES = ("data-00000-of-00001", "index")


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
    """The files of these checkpoints and of no other."""
    return sorted(f"ckpt-{iteration}.{suffix}" for iteration in iterations for suffix in SUFFIXES)


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
}


def test_every_bit_comes_back_in_a_new_process(tmp_path):
    progress = {"iteration": 3, "loss": 1 / 3, "schedule": {"best": None, "drops": [1, 2]}, "name": "ä\n"}
    path = Checkpoints(tmp_path).save(3, ARRAYS, progress)
    saved, messages = restored(tmp_path, ARRAYS)
    assert same(saved.values, ARRAYS)
    assert (saved.path, saved.progress, messages) == (path, progress, [])


def test_tensorflow_reads_a_checkpoint(directory):
    reader = tf.train.load_checkpoint(str(directory / "ckpt-100"))
    assert set(reader.get_variable_to_shape_map()) == {*values(0), "progress", "count"}
    np.testing.assert_array_equal(reader.get_tensor("model/hidden.layer/kernel"), [100] * 6)
    assert reader.get_tensor("progress") == b'{"iteration": 100}'


@pytest.mark.parametrize("name", ["", "progress", "count"])
def test_a_name_that_is_taken_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"no array of a checkpoint may be named '{name}'"):
        Checkpoints(tmp_path).save(1, {name: np.zeros(1)}, {})


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
    assert checkpoints.latest == f"{tmp_path}/ckpt-1000"


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


@pytest.mark.parametrize(("suffix", "left"), [("index", names_of(1)), ("data-00000-of-00001", names_of(1)[:1])])
def test_a_checkpoint_that_cannot_be_deleted_is_deleted_later(tmp_path, monkeypatch, suffix, left):
    remove = tf.io.gfile.remove

    def refuse(path):
        if path.endswith(suffix):
            raise tf.errors.PermissionDeniedError(None, None, path)
        remove(path)

    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, 1)
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "remove", refuse)
        save(checkpoints, 2)
    assert sorted(files(tmp_path)) == sorted([*left, *names_of(2)])  # no index without data
    save(checkpoints, 3)
    assert sorted(files(tmp_path)) == names_of(3)


def make_leftovers(directory: Path) -> None:
    """What killed writes leave: with the names that they leave, and one folder of another TensorFlow writer."""
    shutil.copy(directory / "ckpt-10.data-00000-of-00001", directory / "ckpt-101.data-00000-of-00001")
    (directory / "ckpt-102_temp").mkdir()
    for name in ("ckpt-100.index", "ckpt-102.data-00000-of-00001"):
        (directory / f"{name}.tempstate123").write_bytes(b"half")
    (directory / "ckpt-102_temp" / "part-00000-of-00001.index").write_bytes(b"half")


def test_what_killed_writes_left_is_deleted_and_nothing_else(directory):
    others = ["checkpoint", "notes.txt", "ckpt-5.txt", "ckpt-best.index", "my-ckpt-3.data-00000-of-00001", "ckpt-7_x"]
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


DAMAGE = {
    "flipped": [(flip, suffix, share) for suffix in SUFFIXES for share in (0, 0.2, 0.6)],
    "truncated": [(truncate, suffix, share) for suffix in SUFFIXES for share in (0, 0.3, 0.99)],
    "missing": [(lambda path, _: path.unlink(), "data-00000-of-00001", None)],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_named(directory, kind):
    whole = files(directory)
    for damage, suffix, share in DAMAGE[kind]:
        damage(directory / f"ckpt-100.{suffix}", share)
        saved, [message] = restored(directory)
        assert holds(saved, 10), (suffix, share)
        assert message.startswith(f"{directory}/ckpt-100 is damaged and was passed over: "), (suffix, share)
        for name, content in whole.items():
            (directory / name).write_bytes(content)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_byte_of_a_checkpoint_can_change_what_is_read(directory, suffix):
    path = directory / f"ckpt-100.{suffix}"
    whole = path.read_bytes()
    unnoticed = 0
    for place in range(len(whole)):
        for damaged in (whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :], whole[:place]):
            path.write_bytes(damaged)
            saved, messages = restored(directory)
            assert holds(saved, 10 if messages else 100), place
            unnoticed += not messages
    # The footer of an index is filled up with bytes that mean nothing.
    assert unnoticed < 60 if suffix == "index" else unnoticed == 0


def test_damage_to_one_block_of_a_long_index_is_not_taken_for_another_network(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    many = {f"{i:03}{'x' * 1000}": np.array(i) for i in range(700)}
    for iteration in (1, 2):
        checkpoints.save(iteration, many, {})
    index = tmp_path / "ckpt-2.index"
    whole = index.read_bytes()
    for share in np.linspace(0, 0.98, 9):
        flip(index, share)
        saved, [message] = restored(tmp_path, many)
        assert saved.path.endswith("ckpt-1") and "ckpt-2 is damaged" in message, share
        index.write_bytes(whole)


def test_a_damaged_checkpoint_is_not_called_the_last_good_one_and_is_replaced(directory):
    flip(directory / "ckpt-100.index", 0)
    checkpoints = Checkpoints(directory, keep=2)
    checkpoints.restore(difference_from(values(0)))
    assert checkpoints.latest == f"{directory}/ckpt-10"
    save(checkpoints, 20)
    assert checkpoints.latest == f"{directory}/ckpt-20"
    assert sorted(files(directory)) == names_of(10, 20, 100)  # the damaged one is none of the two
    save(checkpoints, 100)
    assert checkpoints.latest == f"{directory}/ckpt-100"
    assert sorted(files(directory)) == names_of(20, 100)
    assert holds(restored(directory)[0], 100)


def test_without_any_whole_checkpoint_the_run_is_refused_and_nothing_changes(directory):
    for path in directory.glob("*.index"):
        truncate(path)
    before = files(directory)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read\. Choose another `directory`") as error:
        restored(directory)
    assert all(f"ckpt-{iteration} is damaged" in str(error.value) for iteration in (5, 10, 100))
    assert files(directory) == before


def test_a_checkpoint_of_version_0_1_is_refused_by_that_name_and_left(tmp_path):
    tf.train.Checkpoint(kernel=tf.Variable([1.0])).write(str(tmp_path / "ckpt-100"))
    with pytest.raises(ValueError, match=r"ckpt-100 is a checkpoint of version 0\.1\.0, which .* Choose another `dir"):
        Checkpoints(tmp_path).restore(lambda shapes: None)
    assert (tmp_path / "ckpt-100.index").exists()


def test_a_checkpoint_of_another_network_is_refused_by_its_index_alone(directory):
    data = directory / "ckpt-100.data-00000-of-00001"
    kernel = values(100)["model/hidden.layer/kernel"].tobytes()
    assert kernel in data.read_bytes()
    data.write_bytes(data.read_bytes().replace(kernel, bytes(len(kernel))))  # would be found on reading the array
    asked = []

    def difference(shapes):
        asked.append(dict(shapes))
        return "x has shape (6,) there, shape (7,) here"

    message = (
        "ckpt-100 is a checkpoint of another network: x has shape .6,. there, shape .7,. here. Choose another `dir"
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


# No room for the data, for some of it (TensorFlow writes 8 MB at a time), for the index.
@pytest.mark.parametrize(("size", "length"), [(0, 6), (2000, 1000), (1 << 20, 6 << 20), (110, 6)])
def test_a_full_disk_costs_nothing_but_the_new_checkpoint(directory, size, length):
    before = files(directory)
    checkpoints = Checkpoints(directory)
    with pytest.raises(OSError, match="File too large") as error, largest_file(size):
        checkpoints.save(200, values(200, length), {"iteration": 200})
    assert f"the checkpoint of iteration 200 cannot be written to {directory}: " in str(error.value)
    assert f"The last good checkpoint is {directory}/ckpt-100. Free space there, then continue" in str(error.value)
    assert "{{" not in str(error.value) and "\n" not in str(error.value)
    assert files(directory) == before and not list(directory.glob("*_temp"))
    assert holds(restored(directory)[0], 100)
    # Once there is space again, the same process goes on.
    save(checkpoints, 200)
    assert holds(restored(directory)[0], 200)
    assert sorted(files(directory)) == names_of(10, 100, 200)


@pytest.mark.parametrize(("size", "left"), [(0, 100), (110, 10)])
def test_on_a_full_disk_a_checkpoint_that_was_to_be_replaced_is_whole_or_gone(directory, size, left):
    with pytest.raises(OSError, match=rf"last good checkpoint is {directory}/ckpt-{left}\."), largest_file(size):
        Checkpoints(directory).save(100, values(1), {})
    saved, messages = restored(directory)
    assert holds(saved, left) and not messages


def test_leftovers_are_deleted_before_they_fill_the_disk(directory, monkeypatch):
    make_leftovers(directory)
    seen = []
    monkeypatch.setattr(module, "write_bundle", lambda path, _: seen.extend(sorted(files(directory))))
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


def test_a_file_system_that_does_not_answer_is_not_an_empty_one():
    checkpoints = Checkpoints("nosuch://bucket/run")
    with pytest.raises(OSError, match="the checkpoints in nosuch://bucket/run cannot be listed: File system scheme"):
        checkpoints.restore(lambda _: None)
    with pytest.raises(OSError, match="the checkpoint of iteration 1 cannot be written to nosuch://bucket/run: "):
        save(checkpoints, 1)


def test_a_copied_directory_is_as_good(directory, tmp_path_factory):
    copy = tmp_path_factory.mktemp("elsewhere") / "a *? b"
    shutil.move(directory, copy)
    assert holds(restored(copy)[0], 100)
    save(Checkpoints(f"{copy}/"), 200)
    assert sorted(files(copy)) == names_of(10, 100, 200)


def test_a_directory_that_tensorflow_could_not_read_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match='`directory` must not contain "."'):
        Checkpoints(tmp_path / "rate=[0.1]")


def test_everything_works_on_a_file_system_of_tensorflow_s(tmp_path):
    directory = f"ram://{tmp_path}/run/checkpoints"
    checkpoints = Checkpoints(directory, keep=2, asynchronous=True)
    assert checkpoints.restore(lambda _: None) == (None, [])
    for iteration in (5, 10, 100):
        save(checkpoints, iteration, best=5)
    checkpoints.wait()
    assert sorted(tf.io.gfile.listdir(directory)) == names_of(5, 10, 100)
    assert holds(restored(directory)[0], 100)
    for name in ("ckpt-100.index", "ckpt-7.data-00000-of-00001", "ckpt-7.index.tempstate1"):
        tf.io.gfile.GFile(f"{directory}/{name}", "wb").write(b"half")
    saved, [message] = restored(directory)
    assert holds(saved, 10) and message.startswith(f"{directory}/ckpt-100 is damaged")
    checkpoints = Checkpoints(directory, keep=2)
    checkpoints.restore(lambda _: None)
    save(checkpoints, 100)
    assert checkpoints.latest == f"{directory}/ckpt-100"
    assert sorted(tf.io.gfile.listdir(directory)) == names_of(10, 100)
    assert not tmp_path.exists() or not list(tmp_path.iterdir())


@pytest.fixture
def gate(monkeypatch):
    """Writing waits for it."""
    event, write = threading.Event(), module.write_bundle

    def wait_and_write(path, arrays):
        assert event.wait(60)
        write(path, arrays)

    monkeypatch.setattr(module, "write_bundle", wait_and_write)
    yield event
    event.set()


def test_in_the_background_save_returns_before_the_checkpoint_is_written(tmp_path, gate):
    checkpoints = Checkpoints(tmp_path, asynchronous=True)
    progress = {"iteration": 1}
    assert checkpoints.save(1, values(1), progress) == f"{tmp_path}/ckpt-1"
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
    assert "ckpt-1.index" in files(tmp_path)
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
        f"answer. The last good checkpoint is {directory}/ckpt-100"
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
    answer, exists = threading.Event(), tf.io.gfile.exists
    monkeypatch.setattr(tf.io.gfile, "exists", lambda path: answer.wait(60) and exists(path))
    with pytest.raises(OSError, match="is not written after 0.1 s.* No earlier one is known"):
        save(Checkpoints(tmp_path, timeout=0.1), 1)
    answer.set()


# Imports TensorFlow once, runs no operation of it, and forks a process for each program that it reads.
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
        half_written += any("tempstate" in name for name in names)
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
module.write_bundle = lambda *_: writing.set() or time.sleep(40)
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
