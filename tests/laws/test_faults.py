"""Faults of the machine: a clear error in a bounded time, nothing half-written, and a run that goes on afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ports import free_ports

ROOT = Path(__file__).parents[2]
RECIPE = ("digits-resnet8", "--schedule.scale", "0.02", "--training.validate-every", "20")
LIMITED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = sys.argv[2:]
sys.path.insert(0, "recipes")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train(directory: Path, *flags: str, largest_file: int | None = None, **environment: str):
    """The program, as a process; `largest_file` in bytes stands for a disk that is full."""
    limited = ["-c", LIMITED, str(largest_file)] if largest_file else []
    command = [sys.executable, *limited, "recipes/train.py", *RECIPE, *flags, "--run.directory", str(directory)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_full_disk_ends_the_run_and_room_continues_it(tmp_path, backend):
    """The first checkpoint does not fit."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    full = train(tmp_path / "run", largest_file=200_000, KERAS_BACKEND=backend)
    assert full.returncode == 1
    [line] = [line for line in full.stdout.splitlines() if line.startswith("error: ")]
    assert f"the checkpoint of iteration 20 cannot be written to {tmp_path / 'run' / 'checkpoints'}: " in line
    assert "There is no earlier one" in line
    assert line.endswith("continue with `resume=True` (--run.resume)")
    assert "Traceback" not in full.stderr
    assert not [name for name in files(tmp_path / "run") if "ckpt" in name]
    again = train(tmp_path / "run", "--run.resume", KERAS_BACKEND=backend)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_a_disk_without_room_for_the_record_names_the_file(tmp_path):
    record = train(tmp_path / "run", "--training.log-every", "1", largest_file=3000)
    assert record.returncode == 1
    assert re.search(r"error: (.*history\.csv|TensorBoard's logs) cannot be written: .*File too large", record.stdout)
    whole = train(tmp_path / "run", "--training.log-every", "1", "--run.resume")
    assert whole.returncode == 0, whole.stdout
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["iteration", *map(str, range(1, 41))]


@pytest.mark.slow
def test_a_disk_that_fails_in_the_middle_leaves_the_earlier_checkpoint(tmp_path):
    """The directory of the checkpoints lies elsewhere, and becomes a file during the run."""
    elsewhere = tmp_path / "mounted"
    flags = (
        "--run.checkpoint-directory",
        str(elsewhere),
        "--run.checkpoint-every",
        "1",
        "--schedule.iterations",
        "10000",
    )
    command = [sys.executable, "recipes/train.py", *RECIPE, *flags, "--run.directory", str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(elsewhere.glob("ckpt-*.npz")) and time.monotonic() < deadline:
            time.sleep(0.01)
        kept = tmp_path / "kept"
        elsewhere.rename(kept)
        elsewhere.write_text("")
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"cannot be written to {elsewhere}" in said
    assert "Traceback" not in said
    elsewhere.unlink()
    shutil.move(kept, elsewhere)
    again = train(tmp_path / "run", *flags, "--run.resume")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.slow
def test_a_worker_that_never_joins_is_named_in_time(tmp_path):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    absent = workers[1]
    config = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}})
    waited = train(tmp_path / "run", "--run.strategy", "multi_worker", "--run.join-timeout", "1.5", TF_CONFIG=config)
    assert waited.returncode == 75
    assert f"worker 1 ({absent}, Connection refused) did not join within 1.5 s; joined: 0" in waited.stderr
    assert "Traceback" not in waited.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["missing", "truncated", "flipped"])
def test_a_shard_of_the_data_that_is_not_whole_is_refused_before_anything_is_made(tmp_path, shared_data, fault):
    source, data = shared_data / "tfds" / "cifar10", tmp_path / "data" / "cifar10"
    for file in source.rglob("*"):
        target = data / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            target.symlink_to(file)
    shard = sorted(data.rglob("*train*tfrecord*"))[-1]
    content = shard.read_bytes()
    shard.unlink()
    middle = len(content) // 2
    if fault != "missing":
        damaged = {"truncated": content[:middle], "flipped": content[:middle] + b"\0" * 64 + content[middle + 64 :]}
        shard.write_bytes(damaged[fault])
    command = [sys.executable, "recipes/train.py", "cifar10-resnet20", "--run.data-directory", str(data.parent)]
    command += ["--run.directory", str(tmp_path / "run")]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "The train split of cifar10" in refused.stderr
    assert "damaged or incomplete" in refused.stderr
    assert shard.name in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()
