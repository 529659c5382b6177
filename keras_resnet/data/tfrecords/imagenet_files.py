"""How the files of ImageNet are called, for those who write them and those who read them."""

from __future__ import annotations

NAME = "imagenet2012"
SPLITS = ("train", "validation")
SHARD = NAME + "-{split}.tfrecord-{number:05d}-of-{count:05d}"
INDEX = NAME + "-{split}.index.npz"
"""Written by the preparation: `shard` (number of the shard), `offset` (byte in it) and `label` (zero-based), one value
for each image."""
SCAN = NAME + "-{split}.scan.npz"
"""What a scan found: the same, and `key`, which names the shards it was found in."""
LABELS = "label.labels.txt"
"""The names of the classes, one in a line."""
DATASET_INFO = "dataset_info.json"
"""How many records each shard has, and more for tensorflow-datasets."""
