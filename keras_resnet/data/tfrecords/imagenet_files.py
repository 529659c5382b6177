"""File names of ImageNet, shared by the modules that write them and those that read them."""

from __future__ import annotations

NAME = "imagenet2012"
SPLITS = ("train", "validation")
SHARD = NAME + "-{split}.tfrecord-{number:05d}-of-{count:05d}"
INDEX = NAME + "-{split}.index.npz"
"""Written by the preparation: `shard` (number of the shard), `offset` (byte in it) and `label` (zero-based), one value
for each image."""
SCAN = NAME + "-{split}.scan.npz"
"""Written after a scan: the same, and `key`, a digest of the shards that were scanned."""
LABELS = "label.labels.txt"
"""The names of the classes, one in a line."""
DATASET_INFO = "dataset_info.json"
"""The numbers of records in the shards, and more for tensorflow-datasets."""
