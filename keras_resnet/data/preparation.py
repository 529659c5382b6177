"""Labelled images, from archives or folders, as the shards of a tensorflow-datasets directory.

A shard gets its final name when it is whole, and a record beside it in a hidden folder. So a preparation that was
killed goes on from there, and ends with the same bytes. TensorFlow is imported by the workers alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np

NAME, VERSION = "imagenet2012", "5.1.0"
SPLITS = ("train", "validation")
FULL = {"train": 1_281_167, "validation": 50_000}
"""Images of ILSVRC2012."""
FULL_CLASSES = 1000
HIDDEN = ".preparation"
FRAME = 16
"""Bytes of a record beside its data: its length, and a checksum of each."""

REMEDY = "Make room there or allow it, then start the same command again: finished shards are kept"

Record = dict[str, Any]
"""What is known of a shard: file, images, bytes, sha256, offsets, labels, repaired, refused, …"""

Task, Result = TypeVar("Task"), TypeVar("Result")


class Entry(NamedTuple):
    """An image: what it shows, and where its bytes lie, alone in a file or within an archive."""

    name: str
    label: int
    file: str
    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that decides the bytes of the result.

    Args:
        class_names: In the order of the labels.
        splits: The images of each split, in any order.
        shards: How many each split gets.
        shorter_side: As in `repairs.prepare`.
        quality: As in `repairs.prepare`.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[Entry]]
    shards: Mapping[str, int]
    shorter_side: int | None = None
    quality: int = 95

    @cached_property
    def ordered(self) -> dict[str, list[Entry]]:
        """The images of each split in the order of a hash of their names: any part of it holds every class."""

        def position(entry: Entry) -> bytes:
            return hashlib.sha256(f"{self.class_names[entry.label]}/{entry.name}".encode()).digest()

        return {split: sorted(entries, key=position) for split, entries in self.splits.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A name of the images and settings; sizes of files are left out, so that a repaired image may replace one."""
        quality = None if self.shorter_side is None else self.quality
        settings = [NAME, VERSION, self.class_names, self.shorter_side, quality, sorted(self.shards.items())]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for split, entries in sorted(self.ordered.items()):
            digest.update("\n".join([split, *(f"{entry.label}/{entry.name}" for entry in entries)]).encode())
        return digest.hexdigest()

    def shard_plans(self, directory: Path, allow_unreadable: bool) -> Iterator[ShardPlan]:
        """The shards of every split."""
        for split, entries in self.ordered.items():
            count = self.shards[split]
            for index in range(count):
                part = entries[index * len(entries) // count : (index + 1) * len(entries) // count]
                file = directory / f"{NAME}-{split}.tfrecord-{index:05d}-of-{count:05d}"
                yield ShardPlan(
                    file, split, index, part, self.class_names, self.shorter_side, self.quality, allow_unreadable
                )


@dataclass(frozen=True)
class ShardPlan:
    """What one worker needs to know to write one shard."""

    file: Path
    split: str
    index: int
    entries: Sequence[Entry]
    class_names: tuple[str, ...]
    shorter_side: int | None
    quality: int
    allow_unreadable: bool

    @property
    def record_file(self) -> Path:
        """Where the record of the finished shard is kept."""
        return self.file.parent / HIDDEN / f"{self.file.name}.json"

    @property
    def inputs(self) -> str:
        """A name of the images with their sizes: of a changed image, the shard is made again."""
        return hashlib.sha256("\n".join(f"{e.label}/{e.name}/{e.size}" for e in self.entries).encode()).hexdigest()

    def finished(self) -> Record | None:
        """The record of the shard if it is whole."""
        try:
            record = dict(json.loads(self.record_file.read_text(encoding="utf-8")))
            whole = record["bytes"] == self.file.stat().st_size and record["inputs"] == self.inputs
        except (OSError, ValueError, KeyError):
            return None
        return record if whole and (self.allow_unreadable or not record["refused"]) else None


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
        The manifest; of a finished preparation, the one that is there.

    Raises:
        ValueError: if images are unusable, after all were read, with their names; if the directory holds another plan.
        BlockingIOError: if another process prepares there.
        OSError: naming the file that could not be written.
    """
    check_vacant(plan, directory)
    hidden = directory / HIDDEN
    with naming_file(hidden):
        hidden.mkdir(parents=True, exist_ok=True)
    with locked(hidden):
        if (directory / "manifest.json").exists():
            shutil.rmtree(hidden)
            return dict(json.loads((directory / "manifest.json").read_text(encoding="utf-8")))
        for abandoned in hidden.glob("*.tfrecord-*[0-9]"):  # by workers that were killed
            abandoned.unlink()
        publish(hidden / "plan.json", as_json({"plan": plan.fingerprint}))
        shard_plans = list(plan.shard_plans(directory, allow_unreadable))
        records = {shard.file.name: record for shard in shard_plans if (record := shard.finished())}
        for record in records.values():
            progress(record, False)
        missing = [shard for shard in shard_plans if shard.file.name not in records]
        for record in in_parallel(write_shard, missing, workers, start_worker):
            records[record["file"]] = record
            progress(record, True)
        ordered = [records[shard.file.name] for shard in shard_plans]
        if not allow_unreadable:
            check_readable(ordered)
        manifest = write_descriptions(plan, directory, ordered)
    shutil.rmtree(hidden)
    return manifest


def check_vacant(plan: Plan, directory: Path) -> None:
    """Refuses a directory that holds anything but this plan; changes nothing.

    Raises:
        ValueError: if it does.
    """
    if not directory.exists() or not any(directory.iterdir()):
        return
    for file in (directory / "manifest.json", directory / HIDDEN / "plan.json"):
        if not file.is_file():
            continue
        try:
            known = json.loads(file.read_text(encoding="utf-8"))["plan"]
        except (ValueError, KeyError, TypeError):
            known = None
        if known != plan.fingerprint:
            raise ValueError(
                f"{directory} holds a preparation of other images or with other settings. Give the command that began "
                "it, or another DESTINATION"
            )
        return
    if [entry.name for entry in directory.iterdir()] != [HIDDEN]:  # killed before it wrote anything of worth
        raise ValueError(f"{directory} holds files that no preparation left. Choose another DESTINATION")


def check_readable(records: Iterable[Record]) -> None:
    """Refuses to finish a set with unusable images.

    Raises:
        ValueError: with all their names.
    """
    faults = [f"{image['name']}: {image['reason']}" for record in records for image in record["refused"]]
    if faults:
        remedy = "repair them and start again, or leave them out with --allow-unreadable"
        raise ValueError("\n  ".join([f"{len(faults)} images cannot be used; {remedy}:", *faults]))


def write_shard(shard: ShardPlan) -> Record:
    """Writes one shard and its record; without the permission to leave images out, a shard that has to is not kept.

    Raises:
        OSError: naming the shard, if it cannot be written.
    """
    import tensorflow as tf

    record: Record = {"file": shard.file.name, "split": shard.split, "index": shard.index, "inputs": shard.inputs}
    record |= {"images": 0, "bytes": 0, "resized": 0, "offsets": [], "labels": [], "repaired": [], "refused": []}
    temporary = shard.record_file.with_name(f"{shard.file.name}.{os.getpid()}")
    try:
        with naming_file(shard.file):
            try:
                with tf.io.TFRecordWriter(str(temporary)) as writer:
                    for entry in shard.entries:
                        if example := encode(shard, entry, record):
                            writer.write(example)
            except tf.errors.OpError as error:
                raise OSError(error.message) from error
            if record["refused"] and not shard.allow_unreadable:
                return record
            record["sha256"] = seal(temporary, record["bytes"])
            temporary.replace(shard.file)
        publish(shard.record_file, as_json(record))
    finally:
        temporary.unlink(missing_ok=True)
    return record


def encode(shard: ShardPlan, entry: Entry, record: Record) -> bytes | None:
    """The example of an image; notes in the record what became of the image. `None` if it is unusable."""
    import tensorflow as tf

    from keras_resnet.data import repairs

    name = f"{shard.split}/{shard.class_names[entry.label]}/{entry.name}"
    try:
        image = repairs.prepare(read(entry), shard.shorter_side, shard.quality)
    except (repairs.UnreadableError, OSError) as error:
        record["refused"].append({"name": name, "reason": getattr(error, "strerror", None) or str(error)})
        return None
    if image.repaired:
        record["repaired"].append({"name": name, "was": image.repaired})
    features = {
        "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[entry.name.encode()])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.data])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[entry.label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    record["offsets"].append(record["bytes"])
    record["labels"].append(entry.label)
    record["bytes"] += len(example) + FRAME
    record["images"] += 1
    record["resized"] += image.resized
    return example


def read(entry: Entry) -> bytes:
    """The bytes of an image.

    Raises:
        OSError: if they cannot be read, or the file ends before them.
    """
    with Path(entry.file).open("rb") as file:
        file.seek(entry.offset)
        data = file.read(entry.size)
    if len(data) != entry.size:
        raise OSError(f"{entry.file} ends within it")
    return data


def seal(file: Path, size: int) -> str:
    """The SHA-256 of a file that is whole, and on the disk from now on.

    Raises:
        OSError: if it has another size.
    """
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
        if os.fstat(stream.fileno()).st_size != size:
            raise OSError("it was cut short")
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_descriptions(plan: Plan, directory: Path, records: Sequence[Record]) -> Record:
    """Writes what other programs read beside the shards, then the manifest, which says that all is done.

    Raises:
        ValueError: if a split has no image left.
        OSError: naming the file that could not be written.
    """
    by_split = {split: [record for record in records if record["split"] == split] for split in plan.splits}
    images = {split: sum(record["images"] for record in part) for split, part in by_split.items()}
    if empty := [split for split, count in images.items() if not count]:
        raise ValueError(f"No image of the split {empty[0]} is usable")
    resized = sum(record["resized"] for record in records)
    files = {f"{NAME}-{split}.index.npz": index(part) for split, part in by_split.items()}
    files["label.labels.txt"] = "".join(f"{name}\n" for name in plan.class_names).encode()
    files["features.json"] = as_json(features(len(plan.class_names)))
    files["dataset_info.json"] = as_json(dataset_info(plan, by_split, resized))
    for name, content in files.items():
        publish(directory / name, content)
    kept = ("file", "images", "bytes", "sha256")
    manifest: Record = {
        "plan": plan.fingerprint,
        "name": NAME,
        "version": VERSION,
        "classes": len(plan.class_names),
        "complete": len(plan.class_names) == FULL_CLASSES and images == FULL,
        "shorter_side": plan.shorter_side,
        "quality": None if plan.shorter_side is None else plan.quality,
        "images": images,
        "resized": resized,
        "repaired": [image for record in records for image in record["repaired"]],
        "refused": [image for record in records for image in record["refused"]],
        "shards": {split: [{key: record[key] for key in kept} for record in part] for split, part in by_split.items()},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    publish(directory / "manifest.json", as_json(manifest))
    return manifest


def index(records: Sequence[Record]) -> bytes:
    """An `.npz` of `shard` int32 [n], `offset` int64 [n] in bytes, `label` int64 [n], in the order of the records."""
    offset = np.concatenate([np.array(record["offsets"], np.int64) for record in records])
    label = np.concatenate([np.array(record["labels"], np.int64) for record in records])
    shard = np.repeat(np.arange(len(records), dtype=np.int32), [record["images"] for record in records])
    content = io.BytesIO()
    np.savez(content, shard=shard, offset=offset, label=label)
    return content.getvalue()


def features(classes: int) -> Record:
    """`features.json` of tensorflow-datasets."""
    core = "tensorflow_datasets.core.features"
    image = {"dtype": "uint8", "encodingFormat": "jpeg", "shape": {"dimensions": ["-1", "-1", "3"]}}
    parts = {
        "file_name": {"pythonClassName": f"{core}.text_feature.Text", "text": {}},
        "image": {"image": image, "pythonClassName": f"{core}.image_feature.Image"},
        "label": {
            "classLabel": {"numClasses": str(classes)},
            "pythonClassName": f"{core}.class_label_feature.ClassLabel",
        },
    }
    return {"featuresDict": {"features": parts}, "pythonClassName": f"{core}.features_dict.FeaturesDict"}


def dataset_info(plan: Plan, by_split: Mapping[str, Sequence[Record]], resized: int) -> Record:
    """`dataset_info.json` of tensorflow-datasets."""
    note = "All images have their own size."
    if plan.shorter_side is not None:
        note = (
            f"The shorter side of larger images was made {plan.shorter_side} pixels (Lanczos, JPEG quality "
            f"{plan.quality}): {resized:,} images."
        )
    splits = [
        {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": split,
            "numBytes": str(sum(record["bytes"] - FRAME * record["images"] for record in records)),
            "shardLengths": [str(record["images"]) for record in records],
        }
        for split, records in by_split.items()
    ]
    return {
        "description": f"ImageNet (ILSVRC2012), prepared by recipes/prepare_imagenet.py of keras_resnet. {note}",
        "fileFormat": "tfrecord",
        "location": {"urls": ["https://image-net.org/"]},
        "name": NAME,
        "releaseNotes": {VERSION: note},
        "splits": splits,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "version": VERSION,
    }


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
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        shards = [dict(shard, split=split) for split in manifest["shards"] for shard in manifest["shards"][split]]
        classes, files, counts = manifest["classes"], manifest["files"], manifest["images"]
    except FileNotFoundError as error:
        raise ValueError(f"{directory} holds no finished preparation: there is no manifest.json") from error
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{directory / 'manifest.json'} is damaged. Prepare again, into another DESTINATION"
        ) from error
    problems = [f"{name}: {fault}" for name, digest in files.items() if (fault := compare(directory / name, digest))]
    known = {shard["file"] for shard in shards}
    problems += [f"{f.name}: not in the manifest" for f in directory.glob("*.tfrecord-*") if f.name not in known]
    checks = [(directory, shard, classes) for shard in shards]
    found: dict[str, Record] = {}
    for record in in_parallel(check_shard, checks, workers, start_worker):
        found[record["file"]] = record
        progress(record, True)
    problems += [problem for shard in shards for problem in found[shard["file"]]["problems"]]
    for split, expected in counts.items():
        records = [found[shard["file"]] for shard in shards if shard["split"] == split]
        if (images := sum(record["images"] for record in records)) != expected:
            problems.append(f"{split}: {images:,} images. The manifest counts {expected:,}")
        name = f"{NAME}-{split}.index.npz"
        if (directory / name).is_file() and hashlib.sha256(index(records)).hexdigest() != files.get(name):
            problems.append(f"{name}: does not lead to the images")
    return problems


def compare(file: Path, sha256: str) -> str | None:
    """What is wrong with a file that had a checksum, if anything."""
    try:
        with file.open("rb") as stream:
            return None if hashlib.file_digest(stream, "sha256").hexdigest() == sha256 else "another SHA-256"
    except OSError as error:
        return "missing" if isinstance(error, FileNotFoundError) else f"unreadable ({error.strerror})"


def check_shard(check: tuple[Path, Record, int]) -> Record:
    """What a shard holds and, under `problems`, what is wrong with it."""
    import tensorflow as tf

    from keras_resnet.data import repairs

    directory, shard, classes = check
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
                    f"{name}, image {number} ({feature['file_name'].bytes_list.value[0].decode()}): {fault}"
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


def in_parallel(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, start_worker: Callable[[], None]
) -> Iterator[Result]:
    """The results in the order in which they are ready.

    Raises:
        OSError: if a worker was killed.
    """
    if workers == 1 or len(tasks) < 2:
        if tasks:
            start_worker()
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), get_context("spawn"), initializer=begin_worker, initargs=(start_worker,)
    )
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "A worker was killed, or could not start (out of memory?). Start the same command again, with fewer "
            "--workers: finished shards are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # the shards at hand are finished


def begin_worker(start_worker: Callable[[], None]) -> None:
    """Makes a worker leave Ctrl-C to the first process, and end with it however that ends."""
    signal(SIGINT, SIG_IGN)
    parent = parent_process()
    assert parent is not None, "called in a worker"

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    Thread(target=follow, daemon=True).start()
    start_worker()


def as_json(value: Any) -> bytes:
    """JSON that people read."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def publish(file: Path, content: bytes) -> None:
    """Writes a file wholly or not at all.

    Raises:
        OSError: naming the file.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with naming_file(file):
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_file(file: Path) -> Iterator[None]:
    """Makes an `OSError` of the block say which file could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{file} cannot be written: {error.strerror or error}. {REMEDY}") from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes out of a directory.

    Raises:
        BlockingIOError: if one is there.
    """
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"Another process prepares {directory.parent}. Wait for it") from error
        yield
