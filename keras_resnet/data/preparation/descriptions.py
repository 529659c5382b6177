"""The files beside the shards: the manifest, the index of every image, and the descriptions of tensorflow-datasets."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_resnet.data.preparation.plan import AGAIN, FRAME, FULL, FULL_CLASSES, VERSION, Plan, Record
from keras_resnet.data.tfrecords.imagenet_files import DATASET_INFO, INDEX, LABELS, NAME
from keras_resnet.host.files import as_json, write

MANIFEST = "manifest.json"
"""Written last: its presence says that all is done."""
KEPT = ("file", "images", "bytes", "sha256")
"""The keys of a shard in the manifest."""


def write_descriptions(plan: Plan, directory: Path, records: Sequence[Record]) -> Record:
    """Writes the files that other programs read beside the shards, and last the manifest, the mark of the end.

    Raises:
        ValueError: if a shard has no image left.
        OSError: naming the file that could not be written.
    """
    by_split = {split: [record for record in records if record["split"] == split] for split in plan.splits}
    images = {split: sum(record["images"] for record in part) for split, part in by_split.items()}
    if empty := [record["file"] for record in records if not record["images"]]:
        remedy = "Repair some and start again, or choose fewer `shards` and another `destination`"
        raise ValueError(f"No image for {empty[0]} is usable, and an empty shard cannot be read. {remedy}")
    resized = sum(record["resized"] for record in records)
    files = {INDEX.format(split=split): index(part) for split, part in by_split.items()}
    files[LABELS] = "".join(f"{name}\n" for name in plan.class_names).encode()
    files["features.json"] = as_json(features(len(plan.class_names)), indent=1)
    files[DATASET_INFO] = as_json(dataset_info(plan, by_split, resized), indent=1)
    for name, content in files.items():
        write(directory / name, content, AGAIN)
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
        "complaints": [image for record in records for image in record.get("complaints", [])],
        "shards": {split: [{key: record[key] for key in KEPT} for record in part] for split, part in by_split.items()},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    write(directory / MANIFEST, as_json(manifest, indent=1), AGAIN)
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
        "description": f"ImageNet (ILSVRC2012), prepared by keras_resnet. {note}",
        "fileFormat": "tfrecord",
        "location": {"urls": ["https://image-net.org/"]},
        "name": NAME,
        "releaseNotes": {VERSION: note},
        "splits": splits,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "version": VERSION,
    }


def read_manifest(directory: Path) -> Record:
    """The manifest of a finished preparation.

    Raises:
        ValueError: if there is none, or it is damaged.
        OSError: if it cannot be read.
    """
    file = directory / MANIFEST
    try:
        manifest = dict(json.loads(file.read_text(encoding="utf-8")))
        absent = {"plan", "name", "classes", "complete", "images", "repaired", "refused", "files"} - set(manifest)
        for shards in manifest["shards"].values():
            for shard in shards:
                absent |= set(KEPT) - set(shard)
        if absent:
            raise KeyError(*absent)
    except FileNotFoundError as error:
        raise ValueError(f"{directory} holds no finished preparation: there is no {MANIFEST}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is damaged. Put a copy of it back, or prepare again into another `destination`"
        ) from error
    return manifest
