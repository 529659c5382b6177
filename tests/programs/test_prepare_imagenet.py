"""`recipes/prepare_imagenet.py` as a person runs it: the three layouts, refusals, kills, a full disk."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import prepare_imagenet

ROOT = Path(__file__).parents[2]
WNIDS = ("n01440764", "n01443537", "n01484850")
KAGGLE = Path("ILSVRC", "Data", "CLS-LOC")
LIMITED = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000,) * 2)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (8 + seed % 33, 24, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


TRAIN = {f"{WNIDS[k % 3]}/{WNIDS[k % 3]}_{k}.JPEG": jpeg(k) for k in range(60)}
VALIDATION = {f"ILSVRC2012_val_{k + 1:08d}.JPEG": (WNIDS[k // 2 % 3], jpeg(100 + k)) for k in range(9)}


def folders(source: Path) -> Path:
    files = {f"train/{name}": data for name, data in TRAIN.items()}
    files |= {f"validation/{wnid}/{name}": data for name, (wnid, data) in VALIDATION.items()}
    return write(source, files)


def kaggle(source: Path) -> Path:
    files = {f"{KAGGLE}/train/{name}": data for name, data in TRAIN.items()}
    files |= {f"{KAGGLE}/val/{name}": data for name, (_, data) in VALIDATION.items()}
    rows = [f"{Path(name).stem},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for name, (wnid, _) in VALIDATION.items()]
    return write(source, files | {"LOC_val_solution.csv": "".join(["ImageId,PredictionString\n", *rows]).encode()})


def archives(source: Path) -> Path:
    classes = {w: {n.split("/")[1]: data for n, data in TRAIN.items() if n.startswith(w)} for w in WNIDS}
    synsets = np.array(
        [(7 + k, wnid) for k, wnid in enumerate(reversed(WNIDS))], [("ILSVRC2012_ID", float), ("WNID", object)]
    )
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets.reshape(-1, 1)})
    truth = "".join(f"{7 + 2 - WNIDS.index(wnid)}\n" for wnid, _ in VALIDATION.values())
    kit = {"meta.mat": meta.getvalue(), "ILSVRC2012_validation_ground_truth.txt": truth.encode()}
    kit = {f"ILSVRC2012_devkit_t12/data/{name}": data for name, data in kit.items()}
    parts = {
        "ILSVRC2012_img_train.tar": tar({f"{wnid}.tar": tar(images) for wnid, images in classes.items()}),
        "ILSVRC2012_img_val.tar": tar({name: data for name, (_, data) in VALIDATION.items()}),
        "ILSVRC2012_devkit_t12.tar.gz": tar(kit, "w:gz"),
    }
    return write(source, parts)


LAYOUTS = {"folders": folders, "kaggle": kaggle, "archives": archives}


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


FILE = (str(ROOT / "recipes" / "prepare_imagenet.py"),)
LAUNCHER = ("-m", "cli.launcher", "prepare_imagenet")
"""The program as Python runs the file, and as the command of an installation does."""


def start(*words: object, before: tuple[str, ...] = (), program: tuple[str, ...] = FILE) -> subprocess.Popen:
    command = [*before, sys.executable, *program, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'recipes'}:{ROOT}" if program == LAUNCHER else str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # so that the recipe keeps TensorFlow quiet itself
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*words: object, **how: tuple[str, ...]) -> tuple[int, str, str]:
    process = start(*words, **how)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def contents(destination: Path) -> dict[str, bytes]:
    return {str(p.relative_to(destination)): p.read_bytes() for p in destination.rglob("*") if p.is_file()}


SHARDS = ("--shards", "12", "2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A whole preparation, in this process, whose TensorFlow has begun to work and cannot be told how to."""
    folder, out = tmp_path_factory.mktemp("undisturbed"), io.StringIO()
    words = [folders(folder / "from"), folder / "to", *SHARDS, "--workers", "1"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(prepare_imagenet, "load_tensorflow", lambda: None)
        assert prepare_imagenet.main([str(word) for word in words]) == 0
    assert "60 train images, 9 validation images of 3 classes: not the complete ILSVRC2012" in out.getvalue()
    return folder / "to"


ENDS = ("terminated", "killed")
"""How the whole preparation may end."""


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "program"), [("kaggle", FILE), ("archives", LAUNCHER)])
def test_every_layout_gives_the_same_bytes(undisturbed, tmp_path, layout, program):
    words = (LAYOUTS[layout](tmp_path / "from"), tmp_path / "to", *SHARDS, "--workers", "2")
    status, _, err = run(*words, program=program)
    assert status == 0, err
    assert contents(tmp_path / "to") == contents(undisturbed)


def test_the_first_process_needs_no_tensorflow():
    code = "import sys, keras_resnet.data.preparation; print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "False\n"


def test_labels_are_positions_in_the_sorted_names(undisturbed):
    index = np.load(undisturbed / "imagenet2012" / "5.1.0" / "imagenet2012-validation.index.npz")
    expected = [WNIDS.index(wnid) for wnid, _ in VALIDATION.values()]
    assert np.bincount(index["label"], minlength=3).tolist() == np.bincount(expected, minlength=3).tolist()


@pytest.mark.slow
def test_a_killed_preparation_goes_on(undisturbed, tmp_path):
    words = (folders(tmp_path / "from"), tmp_path / "to", *SHARDS, "--workers", "1")
    directory = tmp_path / "to" / "imagenet2012" / "5.1.0"
    process = start(*words)
    while len(list(directory.glob(".preparation/imagenet2012-*.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    done = [path.stem for path in directory.glob(".preparation/imagenet2012-*.json")]
    times = {name: (directory / name).stat().st_mtime_ns for name in done}
    assert times and not (directory / "manifest.json").exists(), "killed too late: nothing was tested"
    assert run(*words)[0] == 0
    assert {name: (directory / name).stat().st_mtime_ns for name in done} == times
    assert contents(tmp_path / "to") == contents(undisturbed)


def workers_of(process: subprocess.Popen) -> list[int]:
    """The processes that share its work, as soon as there are two of them."""
    while True:
        assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        workers = [pid for pid, command in commands.items() if b"spawn_main" in command]
        if len(workers) == 2:
            return workers
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["worker killed", *ENDS])
def test_killed_processes_end_the_others_and_lose_nothing(undisturbed, tmp_path, end):
    words = (folders(tmp_path / "from"), tmp_path / "to", *SHARDS, "--workers", "2")
    process = start(*words)
    workers = workers_of(process)
    if end == "worker killed":
        os.kill(workers[0], signal.SIGKILL)
    else:
        process.send_signal(signal.SIGTERM if end == "terminated" else signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    if end == "worker killed":
        assert process.returncode == 1 and err.startswith("error: A worker was killed"), err
    assert not (tmp_path / "to" / "imagenet2012" / "5.1.0" / "manifest.json").exists()
    latest = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < latest, "a worker goes on alone"
        time.sleep(0.01)
    status, _, err = run(*words)
    assert status == 0, err
    assert contents(tmp_path / "to") == contents(undisturbed)


@pytest.mark.slow
def test_a_full_disk_names_the_shard_and_leaves_no_half(tmp_path):
    words = (folders(tmp_path / "from"), tmp_path / "to", "--shards", "1", "1", "--workers", "1")
    status, _, err = run(*words, before=(sys.executable, "-c", LIMITED))
    assert status == 1 and err.count("\n") == 1, err
    assert err.startswith("error: ") and "imagenet2012-train.tfrecord-00000-of-00001 cannot be written" in err
    assert not list((tmp_path / "to").rglob("*train.tfrecord*"))
    assert run(*words)[0] == 0
    assert run("--verify", tmp_path / "to")[0] == 0


@pytest.mark.slow
def test_verify_finds_a_flipped_byte(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "to")
    shard = tmp_path / "to" / "imagenet2012" / "5.1.0" / "imagenet2012-train.tfrecord-00003-of-00012"
    data = bytearray(shard.read_bytes())
    data[500] ^= 1
    shard.write_bytes(data)
    status, _, err = run("--verify", tmp_path / "to", "--workers", "2")
    assert status == 1 and f"error: {shard.name}: another SHA-256" in err


@pytest.mark.slow
def test_an_unreadable_image_is_named(tmp_path):
    write(folders(tmp_path / "from"), {f"train/{WNIDS[0]}/bad.JPEG": b""})
    status, _, err = run(tmp_path / "from", tmp_path / "to", "--workers", "1")
    assert status == 1 and f"train/{WNIDS[0]}/bad.JPEG: empty" in err
    status, out, _ = run(tmp_path / "from", tmp_path / "to", "--workers", "1", "--allow-unreadable")
    assert status == 0 and f"left out: train/{WNIDS[0]}/bad.JPEG (empty)" in out


def thousand(source: Path) -> Path:
    files = {f"train/n{k:08d}/{k}.JPEG": b"x" for k in range(1000)}
    return write(source, files | {"val/n00000000/v.JPEG": b"x"})


def without(layout, *names):
    def build(source: Path) -> Path:
        layout(source)
        for name in names:
            path = source / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return source

    return build


def including(layout, files):
    return lambda source: write(layout(source), files)


def changed(layout, name, change):
    """A layout one of whose files holds something else."""

    def build(source: Path) -> Path:
        path = layout(source) / name
        path.write_bytes(change(path.read_bytes()))
        return source

    return build


def nested(source: Path) -> Path:
    return write(folders(source), {f"train/{WNIDS[0]}/images/1.JPEG": b""})


def piped(source: Path) -> Path:
    os.mkfifo(folders(source) / "train" / WNIDS[0] / "pipe.JPEG")
    return source


def linked(source: Path) -> Path:
    (folders(source) / "train" / WNIDS[0] / "1.JPEG").symlink_to(source / "unplugged" / "1.JPEG")
    return source


def kit(truth: bytes = b"1", **parts: bytes):
    """A development kit."""
    return lambda _: tar({"ILSVRC2012_validation_ground_truth.txt": truth, **parts}, "w:gz")


def meta(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.extractfile("ILSVRC2012_devkit_t12/data/meta.mat").read()


def second_member(data: bytes) -> int:
    """Where the second member of an archive begins."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()[1].offset


TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT, SOLUTION = "ILSVRC2012_devkit_t12.tar.gz", "LOC_val_solution.csv"

REFUSED = {
    "missing": (lambda source: source, "with ImageNet in it. Missing or empty"),
    "neither": (lambda source: write(source, {"a.txt": b""}), "holds neither ILSVRC2012_img_train.tar, nor"),
    "one archive": (without(archives, "ILSVRC2012_img_val.tar"), "lacks ILSVRC2012_img_val.tar"),
    "cut archive": (changed(archives, TRAIN_TAR, lambda d: d[:30_000]), f"{TRAIN_TAR} is damaged or was not fully"),
    "archive cut between members": (
        changed(archives, TRAIN_TAR, lambda d: d[: second_member(d)]),
        f"{TRAIN_TAR} is damaged or was not fully downloaded (it ends without a mark",
    ),
    "archive cut between images": (
        changed(archives, VALIDATION_TAR, lambda d: d[: second_member(d)]),
        f"{VALIDATION_TAR} is damaged or was not fully downloaded (it ends without a mark",
    ),
    "archive not yet filled": (
        changed(archives, VALIDATION_TAR, lambda d: d[: second_member(d)] + bytes(2**21)),
        f"{VALIDATION_TAR} is damaged or was not fully downloaded (2,097,152 bytes come after",
    ),
    "archive with a damaged header": (
        changed(archives, VALIDATION_TAR, lambda d: d[: second_member(d)] + b"?" + d[second_member(d) + 1 :]),
        f"{VALIDATION_TAR} is damaged or was not fully downloaded (it ends without a mark",
    ),
    "no archive": (changed(archives, TRAIN_TAR, lambda d: b"<html>403</html>"), f"{TRAIN_TAR} is damaged or was not"),
    "empty archive": (changed(archives, TRAIN_TAR, lambda d: b""), f"{TRAIN_TAR} is damaged or was not"),
    "damaged inner archive": (
        changed(archives, TRAIN_TAR, lambda d: tar({"n01440764.tar": b"no archive"})),
        f"{TRAIN_TAR} is damaged or was not fully downloaded",
    ),
    "archive of images": (
        changed(archives, TRAIN_TAR, lambda d: tar({"n01440764/1.JPEG": b""})),
        "must hold one archive for each class (n01440764.tar, …). It holds n01440764/1.JPEG",
    ),
    "cut devkit": (changed(archives, DEVKIT, lambda d: d[:-100]), f"{DEVKIT} is damaged or was not fully downloaded"),
    "no archive as devkit": (changed(archives, DEVKIT, lambda d: b"<html>"), f"{DEVKIT} is damaged or was not"),
    "flipped devkit": (
        changed(archives, DEVKIT, lambda d: d[:200] + bytes([d[200] ^ 255]) + d[201:]),
        f"{DEVKIT} is damaged or was not fully downloaded",
    ),
    "devkit of a wrong checksum": (
        changed(archives, DEVKIT, lambda d: d[:-8] + bytes([d[-8] ^ 1]) + d[-7:]),
        f"{DEVKIT} is damaged or was not fully downloaded",
    ),
    "devkit without classes": (changed(archives, DEVKIT, kit()), "ILSVRC2012: it lacks meta.mat"),
    "devkit of damaged classes": (
        changed(archives, DEVKIT, kit(**{"meta.mat": b"MATLAB 5.0"})),
        "ILSVRC2012: meta.mat cannot be read",
    ),
    "devkit of other labels": (
        changed(archives, DEVKIT, lambda d: kit(b"7\n1000\n", **{"meta.mat": meta(d)})(d)),
        "line 2 of ILSVRC2012_validation_ground_truth.txt is '1000', which is no class of meta.mat",
    ),
    "devkit of too few labels": (
        changed(archives, DEVKIT, lambda d: kit(b"7\n8\n", **{"meta.mat": meta(d)})(d)),
        "say nothing of ILSVRC2012_val_00000003.JPEG",
    ),
    "solution of other columns": (changed(kaggle, SOLUTION, lambda d: b"a,b\n1,2\n"), "must have the columns ImageId"),
    "empty solution": (changed(kaggle, SOLUTION, lambda d: b""), "say nothing of ILSVRC2012_val_"),
    "solution that is no text": (
        changed(kaggle, SOLUTION, lambda d: b"\xff\xfe"),
        "must be a text in UTF-8, Kaggle's table",
    ),
    "solution without a label": (
        changed(kaggle, SOLUTION, lambda d: b"ImageId,PredictionString\nILSVRC2012_val_00000001,\n"),
        "filled in every row",
    ),
    "class not unpacked": (
        including(folders, {"train/n01484851.tar": b""}),
        "must hold a folder for each class. It holds n01484851.tar: unpack or move it away",
    ),
    "folders in a class": (nested, f"train/{WNIDS[0]} must hold the images of its class. It holds the folder images"),
    "named pipe": (piped, f"train/{WNIDS[0]}/pipe.JPEG is a named pipe, not a file. Remove it"),
    "class that is not UTF-8": (
        including(folders, {os.fsdecode(b"train/caf\xe9/1.JPEG"): b""}),
        r"must be UTF-8 without control characters. ",
    ),
    "class with a command to the terminal": (
        including(folders, {"train/\x1b[31mred/1.JPEG": b""}),
        r"has the class '\x1b[31mred'. Give it another name",
    ),
    "link to nowhere": (linked, f"train/{WNIDS[0]}/1.JPEG is a link to a file that is missing"),
    "no devkit": (without(archives, "ILSVRC2012_devkit_t12.tar.gz"), "add ILSVRC2012_devkit_t12.tar.gz"),
    "no solution": (without(kaggle, "LOC_val_solution.csv"), "LOC_val_solution.csv (Kaggle)"),
    "no split": (without(folders, "validation"), "lacks the split validation"),
    "no images": (
        without(including(folders, {"validation/x": b""}), *(f"validation/{w}" for w in WNIDS), "validation/x"),
        "has no images",
    ),
    "unknown class": (including(folders, {"validation/cat/1.JPEG": b""}), "that the training split has not: cat"),
    "unlabelled": (including(kaggle, {f"{KAGGLE}/val/other.JPEG": b""}), "say nothing of other.JPEG"),
    "incomplete": (thousand, "1,000 train images instead of 1,281,167"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_source_is_refused_and_nothing_is_written(tmp_path, capsys, case):
    build, expected = REFUSED[case]
    refused(capsys, expected, build(tmp_path / "from"), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def refused(capsys, expected: str, *words: object) -> None:
    with pytest.raises(SystemExit) as end:
        prepare_imagenet.main([str(word) for word in words])
    err = capsys.readouterr().err
    assert end.value.code == 2 and err.startswith("error: ") and err.count("\n") == 1 and expected in err


def test_a_bad_destination_is_refused(tmp_path, capsys, monkeypatch):
    source = folders(tmp_path / "from")
    refused(capsys, "must lie outside SOURCE", source, source / "to")
    write(tmp_path / "full", {"thesis.txt": b""})
    refused(capsys, "holds something else: thesis.txt", source, tmp_path / "full")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 0, 10_000))
    refused(capsys, "are free there", source, tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a"], "two directories are needed"),
        (["a", "b", "--quality", "101"], "`quality` must be from 1 to 100. Received: quality=101 (--quality)"),
        (["a", "b", "--shards", "0", "1"], "`shards` must be two numbers of at least 1"),
        (["a", "b", "--shorter", "1"], "There is no --shorter. Did you mean --shorter-side?"),
        (["--verify", "nowhere"], "holds no finished preparation"),
    ],
)
def test_a_bad_command_line_is_refused(capsys, words, expected):
    refused(capsys, expected, *words)


def test_a_missing_pillow_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prepare_imagenet.importlib.util, "find_spec", lambda name: None)
    refused(capsys, "pip install pillow", folders(tmp_path / "from"), tmp_path / "to", "--shorter-side", "500")


def test_a_finished_preparation_says_so_again(undisturbed, tmp_path):
    before = contents(undisturbed)
    status, out, _ = run(folders(tmp_path / "from"), undisturbed, *SHARDS)
    assert status == 0 and "60 train images" in out and contents(undisturbed) == before
    assert json.loads(before["imagenet2012/5.1.0/manifest.json"])["classes"] == 3
