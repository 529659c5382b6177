"""All shards, and then the manifest: a preparation from its start, or from where it was killed.

A shard gets its final name when it is whole, and a record beside it in a hidden folder. So a preparation that was
killed goes on from there, and ends with the same bytes. TensorFlow is imported by the workers alone.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from keras_resnet.data.preparation.descriptions import MANIFEST, read_manifest, write_descriptions
from keras_resnet.data.preparation.plan import AGAIN, HIDDEN, Plan, Record, ShardPlan
from keras_resnet.data.preparation.writing import write_shard
from keras_resnet.host.files import as_json, naming_file, write
from keras_resnet.host.worker_pool import in_parallel

PLAN = "plan.json"
"""In the hidden folder: which plan is being carried out."""
NAMED = 100
"""Unusable images that an error lists by name."""


def prepare(
    plan: Plan,
    directory: Path,
    *,
    workers: int = 1,
    allow_unreadable: bool = False,
    start_worker: Callable[[], None] = lambda: None,
    progress: Callable[[Record, bool], None] = lambda record, new: None,
) -> Record:
    """Writes what is missing, and the manifest last.

    Args:
        plan: The images and settings.
        directory: Where the shards go; made if missing.
        workers: Processes. With one, this process does all.
        allow_unreadable: Whether unusable images are left out, and listed in the manifest.
        start_worker: Called in each process before its first shard.
        progress: Called with the record of each shard, and whether it was written now.

    Returns:
        The manifest; of a finished preparation, the one that is there, after lost shards were made again.

    Raises:
        ValueError: if images are unusable, after all were read, with their names; if the directory
            holds another plan, or a damaged manifest.
        BlockingIOError: if another process prepares there.
        OSError: naming the file that could not be written.
    """
    check_vacant(plan, directory)
    shards = list(plan.shard_plans(directory, allow_unreadable))
    hidden = directory / HIDDEN
    if (directory / MANIFEST).exists() and not hidden.exists():
        manifest = read_manifest(directory)
        if not lost_shards(manifest, shards):
            return manifest  # also where nothing may be written
    with naming_file(hidden, AGAIN):
        hidden.mkdir(parents=True, exist_ok=True)

    def write_shards(missing: Sequence[ShardPlan]) -> list[Record]:
        written = []
        with in_parallel(write_shard, missing, workers, start_worker) as records:
            for record in records:
                written.append(record)
                progress(record, True)
        return written

    with locked(hidden):
        remove_abandoned(directory)
        if (directory / MANIFEST).exists():
            manifest = read_manifest(directory)
            lost = lost_shards(manifest, shards)
            check_restored(manifest, lost, write_shards(lost))
        else:
            write(hidden / PLAN, as_json({"plan": plan.fingerprint}), AGAIN)
            records = {shard.file.name: record for shard in shards if (record := shard.finished())}
            for record in records.values():
                progress(record, False)
            missing = [shard for shard in shards if shard.file.name not in records]
            records |= {record["file"]: record for record in write_shards(missing)}
            ordered = [records[shard.file.name] for shard in shards]
            check_readable(ordered, allow_unreadable)
            manifest = write_descriptions(plan, directory, ordered)
    shutil.rmtree(hidden, ignore_errors=True)  # another process may do the same
    return manifest


def lost_shards(manifest: Record, shards: Iterable[ShardPlan]) -> list[ShardPlan]:
    """The shards of a finished preparation that are not there, or have another size."""
    sizes = {shard["file"]: shard["bytes"] for part in manifest["shards"].values() for shard in part}
    # What was left out when they were made is left out again.
    return [
        replace(shard, allow_unreadable=True)
        for shard in shards
        if not shard.file.is_file() or shard.file.stat().st_size != sizes[shard.file.name]
    ]


def check_restored(manifest: Record, lost: Iterable[ShardPlan], records: Sequence[Record]) -> None:
    """Removes lost shards that were made again, and became others than they were.

    Raises:
        ValueError: if there are such, or an image could not be read.
    """
    check_readable(records, allow_unreadable=True)
    before = {shard["file"]: shard["sha256"] for part in manifest["shards"].values() for shard in part}
    changed = [record["file"] for record in records if record["sha256"] != before[record["file"]]]
    for shard in lost:
        if shard.file.name in changed:
            shard.file.unlink()
    if changed:
        raise ValueError(
            f"{', '.join(changed)} cannot be made again as before: images in `source` were changed, or another version "
            "of a library encodes them otherwise. Prepare all again into another `destination`"
        )


def remove_abandoned(directory: Path) -> None:
    """Removes what processes that were killed had begun to write; all names end with the number of the process."""
    for file in [*directory.glob(".*.[0-9]*"), *(directory / HIDDEN).glob("*.tfrecord-*[0-9]")]:
        file.unlink()


def check_vacant(plan: Plan, directory: Path) -> None:
    """Refuses a directory that holds anything but this plan; changes nothing.

    Raises:
        ValueError: if it does, or a damaged file leaves it open.
    """
    if not directory.exists() or not any(directory.iterdir()):
        return
    if (directory / MANIFEST).is_file():
        known = read_manifest(directory)["plan"]
    elif (file := directory / HIDDEN / PLAN).is_file():
        try:
            known = json.loads(file.read_text(encoding="utf-8"))["plan"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is damaged. Choose another `destination`, or empty this one") from error
    elif [entry.name for entry in directory.iterdir()] == [HIDDEN]:  # killed before it wrote anything of worth
        return
    else:
        raise ValueError(f"{directory} holds files that no preparation left. Choose another `destination`")
    if known != plan.fingerprint:
        raise ValueError(
            f"{directory} holds a preparation of other images or with other settings. Give the command that began it, "
            "or another `destination`"
        )


def check_readable(records: Sequence[Record], allow_unreadable: bool) -> None:
    """Refuses to finish a set with images that could not be read, or are unusable and may not be left out.

    Raises:
        ValueError: with their names.
    """
    lost = [f"{image['name']}: {image['reason']}" for record in records for image in record["lost"]]
    refused = [f"{image['name']}: {image['reason']}" for record in records for image in record["refused"]]
    faults = lost if allow_unreadable else lost + refused
    if faults:
        remedy = "repair them and start again" + ", or leave them out with `allow_unreadable=True`" * (not lost)
        more = [f"… and {len(faults) - NAMED:,} more"] * (len(faults) > NAMED)
        raise ValueError("\n  ".join([f"{len(faults):,} images cannot be used; {remedy}:", *faults[:NAMED], *more]))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes out of a directory.

    Raises:
        BlockingIOError: if one is there.
        OSError: if the file system knows no locks.
    """
    with naming_file(directory / "lock", AGAIN):
        lock = (directory / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"Another process prepares {directory.parent}. Wait for it") from error
        except OSError as error:
            raise OSError(f"{directory} cannot be locked: {error.strerror}. Choose a `destination` that can") from error
        yield
