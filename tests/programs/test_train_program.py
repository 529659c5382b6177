"""`recipes/train.py` as a person or a scheduler runs it: the main job to its end, and signals in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnet.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]

LIMITED = (
    "import os, resource, sys\n"
    "_, size, *command = sys.argv\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))\n"
    "os.execv(command[0], command)\n"
)

NOTE = re.compile(r"WARNING: All log messages before absl|[IW]0000 ")
"""What TensorFlow's libraries write while they load, where the environment asks for it."""

pytestmark = pytest.mark.slow


FIRST = ("digits-resnet8", "--run.directory", "run")


def start(directory: Path, *words: str, largest_file: int | None = None, **environment: str) -> subprocess.Popen:
    """The program, in a directory of its own; files that would grow beyond a size find the disk full."""
    command = [sys.executable, str(ROOT / "recipes" / "train.py"), *words]
    if largest_file is not None:
        command = [sys.executable, "-c", LIMITED, str(largest_file), *command]
    return subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(program: subprocess.Popen, number: int) -> None:
    """Sends a signal after the first call."""
    for line in program.stderr:
        if re.match(r" *\d+/600 ", line):
            program.send_signal(number)
            break


def finish(program: subprocess.Popen) -> tuple[int, str, str]:
    told, shown = program.communicate()
    assert "Traceback" not in shown
    return program.returncode, told, shown


def test_the_main_job_reads_digits_and_says_where_everything_is(tmp_path):
    status, told, shown = finish(start(tmp_path, *FIRST))
    assert status == 0, shown
    directory = RunDirectory(tmp_path / "run")
    result = directory.read_result()
    assert result["iterations"] == 2000
    measured = result["splits"]["validation"]
    assert measured["images"] == 360
    assert measured["top1_error"] < 3
    assert f"{measured['top1_error']:.2f}%" in told
    for file in ("model.keras", "curve.png", "result.json", "history.csv"):
        assert f"run/{file}" in told
        assert (directory.path / file).stat().st_size > 0
    assert "--logdir run/logs" in told
    assert re.search(r"2000/2000  loss .* images/s  0:00 left", shown)
    assert len(re.findall(r"validation error", shown)) == 10
    assert "WARNING:tensorflow" not in shown and "Warning" not in shown

    repeated = start(tmp_path, *FIRST, "--run.resume")
    status, told, _ = finish(repeated)
    assert status == 0
    assert told.startswith("This run is finished.")


@pytest.mark.parametrize(
    ("number", "exit_status", "told_at_once", "flags"),
    [
        (signal.SIGINT, 130, "Ctrl-C: stopping after this call; once more stops at once", ()),
        (
            signal.SIGTERM,
            75,
            "SIGTERM: stopping after this call",
            ("--run.strategy", "mirrored", "--run.replicas", "2"),
        ),
    ],
)
def test_a_signal_leaves_a_run_that_resumes_to_the_same_record(tmp_path, number, exit_status, told_at_once, flags):
    flags = ("--schedule.scale", "0.3", "--run.iterations-per-call", "10", *flags)
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    for directory in (interrupted, whole):
        directory.mkdir()
    program = start(interrupted, *FIRST, *flags)
    stop(program, number)
    status, told, shown = finish(program)
    assert status == exit_status
    [iteration] = map(
        int, re.findall(r"stopped after iteration (\d+)\. To continue: .*recipes/train.py run$", told, re.M)
    )
    assert 0 < iteration < 600
    assert told_at_once in shown
    assert not RunDirectory(interrupted / "run").finished

    status, _, shown = finish(start(interrupted, *FIRST, *flags))
    assert status == 2
    assert "unfinished: continue it with `resume=True`" in shown

    status, told, shown = finish(start(interrupted, "run"))
    assert status == 0, shown
    assert f"continues after iteration {iteration}\n" in told
    assert "WARNING:tensorflow" not in shown
    assert finish(start(whole, *FIRST, *flags))[0] == 0
    resumed, expected = RunDirectory(interrupted / "run"), RunDirectory(whole / "run")
    assert resumed.history.read_bytes() == expected.history.read_bytes()
    assert {**resumed.read_result(), "images_per_second": 0} == {**expected.read_result(), "images_per_second": 0}
    first, second = resumed.starts()
    assert first["run"] == second["run"] and first["replicas"] == second["replicas"]


def test_nonsense_in_the_environment_of_a_worker_is_one_line(tmp_path):
    words = (*FIRST, "--run.strategy", "multi_worker")
    status, told, shown = finish(start(tmp_path, *words, TF_CONFIG='{"cluster": {"workers": []}}'))
    assert (status, told) == (2, "")
    [line] = [line for line in shown.splitlines() if not NOTE.match(line)]
    assert line.startswith("error: TF_CONFIG must hold cluster.worker, task.type and task.index. Received: ")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_program_with_one_line_and_the_run_resumes(tmp_path):
    flags = ("--schedule.scale", "0.03", "--run.checkpoint-every", "20", "--training.validate-every", "20")
    status, told, _ = finish(start(tmp_path, *FIRST, *flags, largest_file=500_000))
    assert status == 1
    told = told.splitlines()[-1]
    assert told.startswith("error: the checkpoint of iteration 20 cannot be written to run/checkpoints: ")
    assert told.endswith(
        "File too large. There is no earlier one. Free space there, then continue with `resume=True` (--run.resume)"
    )
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    status, _, shown = finish(start(tmp_path, *FIRST, *flags, "--run.resume"))
    assert status == 0, shown
