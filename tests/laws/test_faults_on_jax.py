"""Faults of a training of several processes or devices on JAX: all of them end, in time, and one says why.

None leaves a process behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.training.jax import coordination
from ports import free_ports
from small_folders import pictures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]

ROOT = Path(__file__).parents[2]
DIGITS = (
    "digits-resnet8",
    "--schedule.scale",
    "0.02",
    "--training.validate-every",
    "20",
    "--run.checkpoint-every",
    "5",
)
FOLDER = Recipe(
    "pictures",
    "",
    ModelConfig(depth=8),
    DataConfig("folder", augmentation=("random-resized-crop", "flip"), normalization="per-channel", image_size=16),
    schedule=ScheduleConfig(iterations=2000, boundaries=()),
    training=TrainingConfig(global_batch_size=8, log_every=50, validate_every=2000),
)
TOGETHER = ("--run.strategy", "multi_process", "--run.join-timeout", "60")
MARK = "KERAS_RESNET_TEST_MARK"
PATCHED = """
import os, runpy, signal, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, "recipes")
{patch}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DIES_IN_EVALUATION = """
from keras_resnet.training.jax.backend import JaxBackend
JaxBackend.evaluate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
DIES_BEFORE_JAX_KNOWS_IT = """
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.training.jax import coordination
coordination.join = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
DAMAGES_A_PICTURE = """
from pathlib import Path
from keras_resnet.experiment.run import Experiment
begin = Experiment.begin
def damage(self, callbacks=()):
    for picture in Path({folder!r}).glob("train/*/3.png"):
        content = picture.read_bytes()
        picture.write_bytes(content[:60] + bytes(60) + content[120:])
    return begin(self, callbacks)
Experiment.begin = damage
"""
READS_WITH_PROCESSES = """
import functools
from keras_resnet.data.grain import batches
batches.training_batches = functools.partial(batches.training_batches, workers=2)
"""


@dataclass
class Program:
    """A started program, in a session of its own, whose output goes to a file."""

    process: subprocess.Popen
    log: Path

    def ended(self, seconds: float = 120) -> tuple[int, str]:
        """Its status, and all that it said."""
        status = self.process.wait(timeout=seconds)
        return status, self.log.read_text()


@dataclass
class Programs:
    """What a test starts.

    Args:
        place: A folder of the test.
    """

    place: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: list[Program] = field(default_factory=list)

    def start(self, directory: str, *words: str, patch: str = "", **variables: str) -> Program:
        """Starts `train.py`."""
        patched = ("-c", PATCHED.format(patch=patch)) if patch else ()
        command = [sys.executable, *patched, "recipes/train.py", *words, "--run.directory", str(self.place / directory)]
        environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONUNBUFFERED": "1", MARK: self.mark} | variables
        log = self.place / f"{len(self.started)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.started.append(Program(process, log))
        return self.started[-1]

    def alive(self) -> list[str]:
        """The command lines of all that these programs have started and that still runs, but for JAX's service."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return [line for line in found if line and coordination.__name__ not in line]


@pytest.fixture
def programs(tmp_path) -> Iterator[Programs]:
    started = Programs(tmp_path)
    try:
        yield started
        deadline = time.monotonic() + 10
        while (left := started.alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left
    finally:
        for program in started.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()


def places(count: int = 2) -> list[dict[str, str]]:
    """The variables of each of some processes on this host."""
    [port] = free_ports(1)
    common = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": str(count)}
    return [common | {"JAX_PROCESS_ID": str(index)} for index in range(count)]


def two(
    programs: Programs, words: Sequence[Sequence[str]] = (DIGITS, DIGITS), patches: Sequence[str] = ("", "")
) -> list[Program]:
    return [
        programs.start(name, *flags, *TOGETHER, patch=patch, **place)
        for name, flags, patch, place in zip(("run", "other"), words, patches, places(), strict=True)
    ]


def until_checkpoint(program: Program, directory: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(directory.glob("checkpoints/ckpt-*.npz")):
        assert program.process.poll() is None, program.log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_listening(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as caller:
            if not caller.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise TimeoutError


def error_of(said: str) -> str:
    assert "Traceback" not in said
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


def test_processes_with_different_recipes_are_refused(programs, tmp_path):
    workers = two(programs, (DIGITS, (*DIGITS, "--optimizer.momentum", "0.8", "--run.iterations-per-call", "7")))
    (first, of_first), (second, of_second) = (worker.ended() for worker in workers)
    assert (first, second) == (2, 2), of_first + of_second
    assert error_of(of_first).endswith(
        "all workers must have the recipe and the run of worker 0. Another says what differs"
    )
    assert "this worker must have the recipe and the run of worker 0. What differs:" in error_of(of_second)
    assert "optimizer.momentum: 0.9 -> 0.8" in of_second and "iterations_per_call: 50 -> 7" in of_second
    assert not (tmp_path / "run").exists() and not (tmp_path / "other").exists()


def folders(place: Path) -> list[str]:
    """Two folders of the same pictures."""
    pictures(place / "pictures")
    shutil.copytree(place / "pictures", place / "others")
    return [str(place / "pictures"), str(place / "others")]


def of_folders(place: Path) -> list[tuple[str, ...]]:
    return [of_folder(place, folder) for folder in folders(place)]


def of_folder(place: Path, folder: str) -> tuple[str, ...]:
    """The words of a long training on the pictures of a folder."""
    (recipe := place / "recipe.json").write_text(FOLDER.to_json())
    few = ("--run.checkpoint-every", "2", "--run.iterations-per-call", "2")
    return (str(recipe), *few, "--run.data-directory", folder)


def test_processes_of_which_one_has_another_picture_are_refused(programs, tmp_path):
    words = of_folders(tmp_path)
    shutil.copy(tmp_path / "others" / "train" / "cat" / "5.png", tmp_path / "others" / "train" / "cat" / "7.png")
    (first, of_first), (second, of_second) = (worker.ended() for worker in two(programs, words))
    assert (first, second) == (2, 2), of_first + of_second
    assert "Another says what differs" in error_of(of_first)
    assert "this worker must have the images of worker 0, in its `data_directory`" in error_of(of_second)
    assert "train: other images in cat" in of_second
    assert not (tmp_path / "run").exists()


def test_a_picture_that_is_damaged_on_one_host_is_named_and_both_end(programs, tmp_path):
    """While they train: before, one that cannot be read is an image that differs."""
    patches = ("", DAMAGES_A_PICTURE.format(folder=str(tmp_path / "others")))
    (first, of_first), (second, of_second) = (worker.ended() for worker in two(programs, of_folders(tmp_path), patches))
    assert (first, second) == (75, 1), of_first + of_second
    assert "worker 1 has ended with an error. To continue from the last checkpoint" in error_of(of_first)
    assert "images cannot be used" in error_of(of_second)
    assert f"{tmp_path / 'others' / 'train' / 'cat' / '3.png'}: damaged" in of_second


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("patch", [DIES_IN_EVALUATION, DIES_BEFORE_JAX_KNOWS_IT], ids=["evaluation", "joining"])
def test_one_that_is_lost_is_named_wherever_that_comes(programs, patch, dead):
    patches = ["", ""]
    patches[dead] = patch
    workers = two(programs, patches=patches)
    workers[dead].process.wait(timeout=120)
    status, said = workers[1 - dead].ended(40)
    assert status == 75, said
    assert f"error: worker {dead} is gone: its connection has ended. To continue from the last checkpoint" in said
    assert "Traceback" not in said


def test_processes_with_different_numbers_of_devices_are_refused(programs, tmp_path):
    flags = ("--xla_force_host_platform_device_count=2", "--xla_force_host_platform_device_count=1")
    workers = [
        programs.start("run", *DIGITS, *TOGETHER, **place, XLA_FLAGS=flag)
        for place, flag in zip(places(), flags, strict=True)
    ]
    for worker, count in zip(workers, (2, 1), strict=True):
        status, said = worker.ended()
        assert status == 2, said
        assert f"has {count}; one has 1, one 2" in error_of(said)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_of_the_chief_ends_both(programs):
    limit = "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))"
    (first, of_first), (second, of_second) = (worker.ended() for worker in two(programs, patches=(limit, "")))
    assert (first, second) == (1, 75), of_first + of_second
    assert "the checkpoint of iteration 5 cannot be written to" in error_of(of_first)
    assert "worker 0 has ended with an error" in error_of(of_second)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{}, {"JAX_NUM_PROCESSES": "3"}], [(75, "worker 1 did not join within"), (2, "it counts 3 workers")]),
        ([{}, {"JAX_PROCESS_ID": "0"}], [(75, "worker 1 did not join within"), (2, "cannot listen on its port")]),
        ([{}], [(75, "worker 1 did not join within")]),
        ([None, {}], [None, (75, "worker 0 (127.0.0.1")]),
        ([None, {"JAX_COORDINATOR_ADDRESS": "nowhere.invalid:2222"}], [None, (75, "worker 0 (nowhere.invalid:2222")]),
        ([None, {"JAX_COORDINATOR_ADDRESS": "192.0.2.1:2222"}], [None, (75, "worker 0 (192.0.2.1:2222")]),
        ([None, {"JAX_PROCESS_ID": "2"}], [None, (2, "must be at least 0 and below the 2 processes")]),
        ([None, {"JAX_PROCESS_ID": "one"}], [None, (2, "JAX_PROCESS_ID must be a whole number")]),
        ([None, {"JAX_COORDINATOR_ADDRESS": "node1"}], [None, (2, "must be of the form host:port")]),
    ],
    ids=["count", "index twice", "no worker", "no chief", "no such host", "no answer", "index", "number", "address"],
)
def test_processes_that_do_not_find_one_another_say_so_in_time(programs, tmp_path, changes, expected):
    seconds = "30" if changes.count(None) + 1 < len(changes) else "3"
    words = (*DIGITS, "--run.strategy", "multi_process", "--run.join-timeout", seconds)
    started = {}
    for index, (place, change) in enumerate(zip(places(), changes, strict=False)):
        if change is not None:
            started[index] = programs.start("run", *words, **place | change)
            if index + 1 < len(changes):
                until_listening(int(place["JAX_COORDINATOR_ADDRESS"].partition(":")[2]))
    for index, program in started.items():
        status, said = program.ended(60)
        assert (status, expected[index][1] in error_of(said)) == (expected[index][0], True), said
    assert not (tmp_path / "run").exists()


def test_a_port_that_another_program_has_is_named_on_both_sides(programs):
    """Also one that takes every call and never says a word."""
    [chief, worker] = places()
    words = (*DIGITS, "--run.strategy", "multi_process", "--run.join-timeout", "3")
    with socket.create_server(("127.0.0.1", int(chief["JAX_COORDINATOR_ADDRESS"].partition(":")[2]))):
        began = time.monotonic()
        programs.start("run", *words, **chief)
        programs.start("run", *words, **worker)
        (first, of_first), (second, of_second) = (program.ended() for program in programs.started)
    assert time.monotonic() - began < 45
    assert (first, second) == (2, 75), of_first + of_second
    assert "cannot listen on its port" in error_of(of_first)
    assert "worker 0 (127.0.0.1" in error_of(of_second) and "no answer" in error_of(of_second)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("--training.global-batch-size", "33"),
            "must be a multiple of the 2 replicas. Received: global_batch_size=33",
        ),
        (
            ("--training.global-batch-size", "48", "--training.normalization-batch-size", "16"),
            "`normalization_batch_size` must be a divisor of the 24 images that a replica has at a time",
        ),
        (("--run.replicas", "3"), "must be at most the 2 devices that JAX has here. Received: replicas=3"),
    ],
)
def test_what_devices_do_not_divide_is_refused(programs, tmp_path, words, why):
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    status, said = programs.start("run", *DIGITS, "--run.strategy", "mirrored", *words, **devices).ended()
    assert status == 2 and why in error_of(said), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("backend", "strategy", "why"),
    [
        ("jax", "multi_worker", "Several processes are strategy='multi_process' there"),
        ("tensorflow", "multi_process", "Several processes are strategy='multi_worker' there"),
        ("jax", "tpu", "The strategy 'tpu' needs a TPU"),
        ("jax", "multi_process", "needs the environment variables JAX_COORDINATOR_ADDRESS"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused_with_what_is(programs, tmp_path, backend, strategy, why):
    status, said = programs.start("run", *DIGITS, "--run.strategy", strategy, KERAS_BACKEND=backend).ended()
    assert status == 2 and why in error_of(said), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_that_read_images_ends_them_all(programs, tmp_path, number):
    """As Ctrl-C in a terminal, or a scheduler."""
    words = of_folder(tmp_path, pictures(tmp_path / "pictures"))
    program = programs.start("run", *words, patch=READS_WITH_PROCESSES)
    until_checkpoint(program, tmp_path / "run")
    assert len(programs.alive()) >= 3
    os.killpg(program.process.pid, number)
    status, said = program.ended(60)
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 75}[number], said
    assert "Traceback" not in said and "error:" not in said
    assert "stopped after iteration " in said


def test_other_devices_continue_a_run_and_say_so(programs, tmp_path):
    words = (
        "digits-resnet8",
        "--schedule.scale",
        "0.1",
        "--run.checkpoint-every",
        "5",
        "--run.iterations-per-call",
        "5",
    )
    first = programs.start("run", *words, "--run.strategy", "mirrored", "--run.replicas", "2")
    until_checkpoint(first, tmp_path / "run")
    first.process.terminate()
    status, said = first.ended()
    assert status == 75, said
    status, said = programs.start("run", *words, "--run.resume").ended()
    assert status == 0, said
    assert "the number of replicas was 2 and is 1: a result as good, but not the same bits" in said
    assert json.loads((tmp_path / "run" / "result.json").read_text())["iterations"] == 200


def test_the_service_of_jax_ends_soon_after_the_program(tmp_path):
    program = "import sys; from keras_resnet.training.jax import coordination; "
    program += "print(coordination.start(2), flush=True); sys.stdin.read()"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, MARK: str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = int(process.stdout.readline())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + coordination.LINGERS + 10
    while time.monotonic() < deadline:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.5)
    raise AssertionError("it waits for ever")
