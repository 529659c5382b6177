"""Images in TFRecord shards with random access: the beginning of each record is known, so any one is read alone.

Thus the order of the images is a function of (seed, epoch, position) here too, and a run that continues, or one host of
several, reads nothing but its own images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from keras_resnet.data.encoded_splits import DamagedImageError, EncodedSplit
from keras_resnet.data.splits import PARALLEL_CALLS
from keras_resnet.data.tfrecords import frames
from keras_resnet.data.tfrecords.examples import Example, NoExampleError
from keras_resnet.data.tfrecords.frames import HEADER, DamagedRecordError
from keras_resnet.host import storage

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


@dataclass(frozen=True)
class Schema:
    """Names of the features of a record."""

    image: str
    """The encoded image."""
    label: str
    file_name: str
    class_name: str = ""
    """Empty where records do not hold the name of their class."""
    first_label: int = 0
    """The label of the first class."""


SCHEMAS = (
    Schema("image", "label", "file_name"),
    Schema("image/encoded", "image/class/label", "image/filename", "image/class/synset", first_label=1),
)
"""tensorflow-datasets' imagenet2012, and TensorFlow's older scripts."""


@dataclass(frozen=True, eq=False)
class RecordSplit(EncodedSplit):
    """Encoded images in TFRecord shards.

    A record is read when its image is wanted, and its checksum, its schema and its label are checked: the label of
    another record would never crash, only ruin the training.

    Args:
        paths: The shards.
        shard: int32 [size], index into `paths`.
        offset: int64 [size], the byte at which the record begins in its shard.
        labels: int64 [size], zero-based.
        image_size: Side of the squares, in pixels.
        schema: Of every record.
        cache: As in `EncodedSplit`.

    Raises:
        ValueError: if the arrays have other types or shapes.
    """

    paths: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    labels: np.ndarray
    image_size: int
    schema: Schema = SCHEMAS[0]
    cache: str | None = None

    def __post_init__(self) -> None:
        for name, dtype in {"shard": np.int32, "offset": np.int64, "labels": np.int64}.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != (len(self.labels),):
                raise ValueError(
                    f"`{name}` must be {np.dtype(dtype)} of shape [{len(self.labels)}], one for each image. "
                    f"Received: {array.dtype} of shape {list(array.shape)}"
                )

    def part(self, start: int, stop: int) -> RecordSplit:
        """The records from `start` to before `stop`."""
        arrays = (array[start:stop] for array in (self.shard, self.offset, self.labels))
        return RecordSplit(self.paths, *arrays, self.image_size, self.schema, self.cache)

    def read(self, index: int) -> bytes:
        """The encoded image of a record, whose label is compared with the one given here.

        Raises:
            DamagedImageError: if the record is damaged, or of another schema or label.
            OSError: if the shard cannot be read.
        """
        path, start = self.paths[self.shard[index]], int(self.offset[index])
        try:
            record = Example(frames.read(path, start))
        except (DamagedRecordError, NoExampleError) as error:
            raise DamagedImageError(f"{path} is damaged or cut; get it again ({error})") from error
        image, label = record.content(self.schema.image), record.number(self.schema.label)
        if image is None or label is None:
            wanted = f"one '{self.schema.image}' and one '{self.schema.label}'"
            raise DamagedImageError(f"The record of {path} at byte {start} must have {wanted}; get the shard again")
        if label - self.schema.first_label != self.labels[index]:
            raise DamagedImageError(
                f"The label of the record of {path} at byte {start} is {label - self.schema.first_label} but in the "
                f"index {self.labels[index]}; remove the index"
            )
        return image

    def describe(self, index: int) -> str:
        """The shard, the byte and, as far as it can be read, the file name of a record that cannot be used."""
        name, _, label = self.origin(index)
        place = f"{self.paths[self.shard[index]]}, byte {self.offset[index]}" + (f" ({name})" if name else "")
        if label in (None, self.labels[index]):
            return f"{place}: damaged"
        return f"{place}: its label is {label}, but {self.labels[index]} in the index, which is to be removed"

    def encoded_bytes(self) -> int:
        """Bytes of all shards that hold an image of this split."""
        return sum(storage.status(self.paths[shard]).size for shard in np.unique(self.shard))

    def origin(self, index: int) -> tuple[str | None, str | None, int | None]:
        """File name, class name and zero-based label that a record holds, as far as it has them and can be read.

        The checksums are not looked at: of a damaged record, too, the name often remains.
        """
        path, start = self.paths[self.shard[index]], int(self.offset[index])
        try:
            length = int.from_bytes(frames.read_part(path, start, HEADER)[:8], "little")
            if length > storage.status(path).size:
                return None, None, None
            record = Example(frames.read_part(path, start + HEADER, length))
        except (OSError, NoExampleError):
            return None, None, None
        schema = self.schema
        texts = [record.content(key) for key in (schema.file_name, schema.class_name)]
        name, class_name = (None if text is None else text.decode(errors="replace") for text in texts)
        label = record.number(schema.label)
        return name, class_name, None if label is None else label - schema.first_label


def find_schema(path: str) -> Schema:
    """The schema of a shard's first record.

    Raises:
        ValueError: if the record is damaged, or its schema is none of `SCHEMAS`.
    """
    try:
        names = Example(frames.read(path, 0)).names
    except (OSError, DamagedRecordError, NoExampleError) as error:
        raise ValueError(f"{path} does not begin with a whole record of an image") from error
    for schema in SCHEMAS:
        if {schema.image, schema.label} <= names:
            return schema
    known = " or ".join(f"'{schema.image}' with '{schema.label}'" for schema in SCHEMAS)
    raise ValueError(f"The records of {path} must have the features {known}. They have {', '.join(sorted(names))}")


def scan(
    paths: Sequence[str], schema: Schema, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beginning and the label of every record, found by reading the shards to their ends.

    Args:
        paths: The shards.
        schema: Of their records.
        progress: Called after every shard with the number of shards scanned and of all.

    Returns:
        shard int32 [records], offset int64 [records], zero-based labels int64 [records], in the order of the shards.

    Raises:
        ValueError: if a shard is empty or cut, a record is damaged, or it has another schema.
    """
    parts = []
    for number, (offsets, labels) in enumerate(_scanned(paths, schema)):
        parts.append((np.full(len(offsets), number, np.int32), offsets, labels - schema.first_label))
        if progress:
            progress(number + 1, len(paths))
    shard, offset, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return shard, offset, labels


def _scanned(paths: Sequence[str], schema: Schema) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pool = ThreadPoolExecutor(PARALLEL_CALLS)
    try:
        yield from pool.map(partial(_scan_shard, label=schema.label), paths)
    finally:
        # After a fault, the shards that nobody has begun with are left alone.
        pool.shutdown(cancel_futures=True)


def _scan_shard(path: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Beginning int64 [records] and label int64 [records] of each record of a shard."""
    offsets, labels = [], []
    try:
        for offset, data in frames.scan(path):
            labels.append(Example(data).number(label))
            offsets.append(offset)
    except DamagedRecordError as error:
        raise ValueError(f"{path} is damaged or cut; get it again ({error})") from error
    except NoExampleError:
        labels.append(None)
    if not labels:
        raise ValueError(f"{path} is empty; get it again")
    if None in labels:
        raise ValueError(f"Every record of {path} must have one '{label}'. Some have not; get it again")
    return np.array(offsets, np.int64), np.array(labels, np.int64)
