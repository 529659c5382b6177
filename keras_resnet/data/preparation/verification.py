"""Everything that was prepared, read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from keras_resnet.data.preparation.descriptions import index, read_manifest
from keras_resnet.data.preparation.plan import FRAME, Record
from keras_resnet.data.tfrecords.imagenet_files import INDEX
from keras_resnet.host.worker_pool import in_parallel


def verify(
    directory: Path,
    *,
    workers: int = 1,
    start_worker: Callable[[], None] = lambda: None,
    progress: Callable[[Record, bool], None] = lambda record, new: None,
) -> list[str]:
    """Reads everything again: what is wrong, one line each.

    Raises:
        ValueError: if there is no manifest, or it is damaged.
    """
    manifest = read_manifest(directory)
    shards = [dict(shard, split=split) for split in manifest["shards"] for shard in manifest["shards"][split]]
    classes, files, counts = manifest["classes"], manifest["files"], manifest["images"]
    problems = [f"{name}: {fault}" for name, digest in files.items() if (fault := compare(directory / name, digest))]
    known = {shard["file"] for shard in shards}
    problems += [f"{f.name}: not in the manifest" for f in directory.glob("*.tfrecord-*") if f.name not in known]
    checks = [(directory, shard, classes) for shard in shards]
    found: dict[str, Record] = {}
    with in_parallel(check_shard, checks, workers, start_worker) as records:
        for record in records:
            found[record["file"]] = record
            progress(record, True)
    problems += [problem for shard in shards for problem in found[shard["file"]]["problems"]]
    for split, expected in counts.items():
        part = [found[shard["file"]] for shard in shards if shard["split"] == split]
        if (images := sum(record["images"] for record in part)) != expected:
            problems.append(f"{split}: {images:,} images. The manifest counts {expected:,}")
        name = INDEX.format(split=split)
        if (directory / name).is_file() and hashlib.sha256(index(part)).hexdigest() != files.get(name):
            problems.append(f"{name}: does not lead to the images")
    return problems


def compare(file: Path, sha256: str) -> str | None:
    """The fault of a file that had a checksum, if any."""
    try:
        with file.open("rb") as stream:
            return None if hashlib.file_digest(stream, "sha256").hexdigest() == sha256 else "another SHA-256"
    except OSError as error:
        return "missing" if isinstance(error, FileNotFoundError) else f"unreadable ({error.strerror})"


def check_shard(check: tuple[Path, Record, int]) -> Record:
    """The contents of a shard and, under `problems`, its faults."""
    from keras_resnet.data.preparation.complaints import listening

    with listening():  # what libjpeg complains of stands in the manifest
        return contents_of_shard(*check)


def contents_of_shard(directory: Path, shard: Record, classes: int) -> Record:
    """The same, and what libjpeg writes."""
    import tensorflow as tf

    from keras_resnet.data.preparation import repairs

    file, problems, name = directory / shard["file"], [], shard["file"]
    record: Record = {**shard, "images": 0, "bytes": 0, "offsets": [], "labels": [], "problems": problems}
    if fault := compare(file, shard["sha256"]):
        problems.append(f"{name}: {fault}")
    if not file.is_file():
        return record
    try:
        for number, data in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()):
            feature = tf.train.Example.FromString(data).features.feature
            label = feature["label"].int64_list.value[0]
            if fault := repairs.find_fault(feature["image"].bytes_list.value[0]):
                problems.append(
                    f"{name}, image {number} ({os.fsdecode(feature['file_name'].bytes_list.value[0])}): {fault}"
                )
            if not 0 <= label < classes:
                problems.append(f"{name}, image {number}: label {label}, of {classes} classes")
            record["offsets"].append(record["bytes"])
            record["labels"].append(label)
            record["images"] += 1
            record["bytes"] += len(data) + FRAME
    except (tf.errors.OpError, ValueError, IndexError) as error:
        problems.append(f"{name}: damaged after {record['images']:,} images ({type(error).__name__})")
    if record["images"] != shard["images"]:
        problems.append(f"{name}: {record['images']:,} images. The manifest counts {shard['images']:,}")
    return record
