"""Index of the images of ImageNet: the shard of each, and the byte at which it begins.

The preparation wrote it beside the shards. Otherwise one scan of the shards finds it, and is kept for the next time.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from keras_resnet.data.splits import PARALLEL_CALLS
from keras_resnet.data.tfrecords.frames import FOOTER, HEADER
from keras_resnet.data.tfrecords.imagenet_files import DATASET_INFO, INDEX, NAME, SCAN
from keras_resnet.data.tfrecords.records import Progress, RecordSplit, Schema, find_schema, scan
from keras_resnet.host import storage

NAMED = 10
"""Missing shards that an error lists by name."""
SECOND = 10**9
"""In nanoseconds."""

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""shard int32, offset int64 and zero-based label int64, one value for each image."""


def read_index(
    directory: str | Path, split: str, image_size: int = 224, *, progress: Progress | None = None
) -> RecordSplit:
    """A split, from the index beside its shards, an earlier scan, or a scan; no image is read.

    Args:
        directory: Where the shards lie.
        split: `"train"` or `"validation"`.
        image_size: Side of the squares, in pixels.
        progress: Called after every scanned shard with the number of shards scanned and of all.

    Raises:
        FileNotFoundError: if shards are missing.
        ValueError: if shards are damaged, or an index or `dataset_info.json` does not fit them.
    """
    directory = str(directory)
    paths = find_shards(directory, split)
    sizes = [_status(path).size for path in paths]
    if empty := [path for path, size in zip(paths, sizes, strict=True) if not size]:
        raise ValueError(f"{', '.join(empty[:NAMED])} must hold records, but is empty; get it again")
    schema = find_schema(paths[0])
    written = f"{directory}/{INDEX.format(split=split)}"
    if storage.exists(written):
        arrays = _read_written(written, paths, sizes)
    else:
        arrays = _scan_or_recall(directory, split, paths, schema, progress)
    _check_counts(directory, split, np.bincount(arrays[0], minlength=len(paths)))
    return RecordSplit(paths, *arrays, image_size, schema)


def find_shards(directory: str, split: str) -> tuple[str, ...]:
    """The paths of the shards of a split, in their order.

    Raises:
        FileNotFoundError: if some are missing.
        ValueError: if there are two sets of them.
    """
    names = shard_names(directory, split)
    kinds = sorted({(prefix, count) for prefix, _, count in names.values()})
    if not kinds:
        raise FileNotFoundError(f"{directory} has no shards of the {split} split (such as {split}-00000-of-00128)")
    if len(kinds) > 1:
        found = " and ".join(f"{prefix}-…-of-{count:05}" for prefix, count in kinds)
        raise ValueError(f"{directory} must hold one set of {split} shards. It holds {found}; move one away")
    [(prefix, count)] = kinds
    expected = [f"{prefix}-{number:05}-of-{count:05}" for number in range(count)]
    if missing := [name for name in expected if name not in names]:
        shown = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        raise FileNotFoundError(f"{len(missing)} of {count} shards are not in {directory}; get them: {shown}")
    return tuple(f"{directory}/{name}" for name in expected)


def shard_names(directory: str, split: str) -> dict[str, tuple[str, int, int]]:
    """The names of the shards, each with what comes before its number, its number, and how many there are."""
    pattern = re.compile(rf"((?:{NAME}-)?{split}(?:\.tfrecord)?)-(\d+)-of-(\d+)")
    matches = map(pattern.fullmatch, storage.names(directory))
    return {match[0]: (match[1], int(match[2]), int(match[3])) for match in matches if match}


def _status(path: str) -> storage.Status:
    try:
        return storage.status(path)
    except OSError as error:  # a link to nowhere
        raise FileNotFoundError(f"{path} cannot be read ({error.strerror or error})") from error


def _check_counts(directory: str, split: str, counts: np.ndarray) -> None:
    """Raises an error unless the records are as many as `dataset_info.json`, if there is one, says."""
    path = f"{directory}/{DATASET_INFO}"
    if not storage.exists(path):
        return
    try:
        splits = json.loads(storage.read(path))["splits"]
        lengths = [int(length) for info in splits if info["name"] == split for length in info["shardLengths"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must list the shards of {split} (splits, shardLengths); get it again") from error
    if len(lengths) != len(counts):
        raise ValueError(f"{path} lists {len(lengths)} {split} shards, but there are {len(counts)}; get them again")
    for number in np.flatnonzero(counts != lengths)[:1]:
        raise ValueError(
            f"Shard {number} of the {split} split in {directory} must hold {lengths[number]} records, as "
            f"{DATASET_INFO} says. There are {counts[number]}; get it again"
        )


def _load_arrays(path: str) -> tuple[Arrays, str]:
    """The arrays of an index or a scan, and the key of a scan.

    Raises:
        ValueError: if the file is none.
    """
    try:
        with np.load(io.BytesIO(storage.read(path))) as arrays:
            types = {"shard": np.int32, "offset": np.int64, "label": np.int64}
            shard, offset, label = (arrays[name].astype(dtype) for name, dtype in types.items())
            key = str(arrays["key"]) if "key" in arrays else ""
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, BadZipFile) as error:
        raise ValueError(f"{path} is no index of shards") from error
    if not (shard.ndim == 1 and shard.shape == offset.shape == label.shape and shard.size):
        raise ValueError(f"{path} must hold as many shards as offsets and labels")
    return (shard, offset, label), key


def _read_written(path: str, paths: tuple[str, ...], sizes: list[int]) -> Arrays:
    """The index that the preparation wrote.

    It fits the shards if the last record of each ends where the shard does; the label of every record is compared when
    the record is read.

    Raises:
        ValueError: if it does not fit.
    """
    remedy = "remove the index, so that the shards are scanned, or get the shards again"
    try:
        shard, offset, label = _load_arrays(path)[0]
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error
    if shard.min() < 0 or shard.max() >= len(paths):
        wrong = shard.min() if shard.min() < 0 else shard.max()
        raise ValueError(f"{path} must speak of {len(paths)} shards. It has one numbered {wrong}; {remedy}")
    last = np.full(len(paths), -1, np.int64)
    np.maximum.at(last, shard, offset)
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        ends = list(pool.map(_end, paths, last.tolist()))
    for shard_path, end, size in zip(paths, ends, sizes, strict=True):
        if end != size:
            raise ValueError(f"{shard_path} has {size} bytes, but {end} according to {path}; {remedy}")
    return shard, offset, label


def _end(path: str, offset: int) -> int:
    """The byte after the record that begins at an offset; 0 if there is none."""
    if offset < 0:
        return 0
    header = storage.read_part(path, offset, HEADER)
    return offset + HEADER + int.from_bytes(header[:8], "little") + FOOTER


def _scan_or_recall(
    directory: str, split: str, paths: tuple[str, ...], schema: Schema, progress: Progress | None
) -> Arrays:
    """The arrays of an earlier scan of the same files, or of a new one, which is kept if there is a place for it."""
    key = _key(paths)
    hidden = hashlib.sha256(f"{directory}/{split}".encode()).hexdigest()[:16]
    cached = str(Path.home() / ".cache" / "keras_resnet" / f"{hidden}-{SCAN.format(split=split)}")
    places = [f"{directory}/{SCAN.format(split=split)}", cached]
    for place in places:
        try:
            arrays, found = _load_arrays(place)
        except ValueError:  # none there, or cut while it was written
            continue
        if found == key:
            return arrays
    arrays = scan(paths, schema, progress)
    _keep(places, arrays, key)
    return arrays


def _key(paths: Iterable[str]) -> str:
    """Names, sizes and times of the shards in short; the times are whole seconds."""
    shards = [
        (path.rpartition("/")[2], found.size, found.modified // SECOND * SECOND)
        for path in paths
        for found in [_status(path)]
    ]
    return hashlib.sha256(json.dumps(shards).encode()).hexdigest()


def _keep(places: list[str], arrays: Arrays, key: str) -> None:
    """Writes a scan to the first place that takes it."""
    shard, offset, label = arrays
    content = io.BytesIO()
    np.savez(content, shard=shard, offset=offset, label=label, key=key)
    for place in places:
        directory = place.rpartition("/")[0]
        # A directory that nobody may write to stays as it is, even if this is root.
        if Path(directory).is_dir() and not Path(directory).stat().st_mode & 0o222:
            continue
        try:
            storage.make_directories(directory)
            storage.write(place, content.getvalue())
        except OSError:
            continue
        return
