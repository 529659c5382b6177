"""One shard, written in a worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from keras_resnet.data.preparation.plan import AGAIN, FRAME, Entry, Record, ShardPlan
from keras_resnet.host.files import as_json, naming_file, write


def write_shard(shard: ShardPlan) -> Record:
    """Writes one shard and its record.

    A shard that lacks an image which could not be read is not kept; nor, without the permission to leave images out,
    one that lacks an unusable image.

    Raises:
        OSError: naming the shard, if it cannot be written.
    """
    import tensorflow as tf

    from keras_resnet.data.preparation.complaints import listening

    record: Record = {"file": shard.file.name, "split": shard.split, "index": shard.index, "inputs": shard.inputs}
    record |= new_record()
    temporary = shard.record_file.with_name(f"{shard.file.name}.{os.getpid()}")
    try:
        with naming_file(shard.file, AGAIN):
            try:
                with tf.io.TFRecordWriter(str(temporary)) as writer, listening() as complaints:
                    for entry in shard.entries:
                        if example := encode(shard, entry, record):
                            writer.write(example)
            except tf.errors.OpError as error:
                raise OSError(error.message) from error
            if record["lost"] or (record["refused"] and not shard.allow_unreadable):
                return record
            if complaints:
                record["complaints"] = list(complaints_by_image(shard))
            record["sha256"] = seal(temporary, record["bytes"])
            temporary.replace(shard.file)
        write(shard.record_file, as_json(record, indent=1), AGAIN)
    finally:
        temporary.unlink(missing_ok=True)
    return record


def new_record() -> Record:
    """The record of a shard without images."""
    counts = dict.fromkeys(("images", "bytes", "resized"), 0)
    return counts | {key: [] for key in ("offsets", "labels", "repaired", "refused", "lost", "complaints")}


def complaints_by_image(shard: ShardPlan) -> Iterator[dict[str, str]]:
    """What libjpeg says of images that it decodes all the same; it does not say of which."""
    from keras_resnet.data.preparation.complaints import listening

    for entry in shard.entries:
        with listening() as complaints:
            encode(shard, entry, new_record())
        if complaints:
            yield {"name": shard.name_of(entry), "says": complaints[0]}


def encode(shard: ShardPlan, entry: Entry, record: Record) -> bytes | None:
    """The example of an image; notes in the record what became of the image. `None` if it is unusable."""
    import tensorflow as tf

    from keras_resnet.data.preparation import repairs

    name = shard.name_of(entry)
    # What cannot be read now, of a disk that was unplugged, say, is no unusable image that may be left out for good.
    try:
        image = repairs.prepare(read(entry), shard.shorter_side, shard.quality)
    except OSError as error:
        record["lost"].append({"name": name, "reason": error.strerror or str(error)})
        return None
    except repairs.UnreadableError as error:
        record["refused"].append({"name": name, "reason": str(error)})
        return None
    if image.repaired:
        record["repaired"].append({"name": name, "was": image.repaired})
    features = {
        "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[os.fsencode(entry.name)])),
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
