"""Images are read where there is no TensorFlow, and are the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import loaded_images
from keras_resnet.data.tfrecords.imagenet_files import DATASET_INFO

PROGRAM = """
import absent
absent.hide("tensorflow", "tensorflow_datasets")
import sys
import json, pathlib
import loaded_images
print(json.dumps(loaded_images.summary(pathlib.Path(sys.argv[1]))))
"""


def write_shard(path: Path, images: list[bytes], classes: int) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, image in enumerate(images):
            texts = {"image": image, "file_name": f"{number}.jpg".encode()}
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for key, text in texts.items()
            }
            feature["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[number % classes]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


@pytest.fixture
def place(tmp_path, noise, write_pictures) -> Path:
    """A small data set of each kind."""
    for split, count in {"train": 3, "validation": 2}.items():
        for animal in ("cat", "dog"):
            write_pictures(tmp_path / "folder" / split / animal, count)
    (tmp_path / "imagenet").mkdir()
    for split in ("train", "validation"):
        images = [tf.io.encode_jpeg(noise.integers(0, 256, (30, 40 + k, 3), np.uint8)).numpy() for k in range(5)]
        write_shard(tmp_path / "imagenet" / f"{split}-00000-of-00001", images, 3)
    write_cifar(tmp_path / "cifar10" / "cifar10" / "3.0.2", noise)
    return tmp_path


def write_cifar(folder: Path, noise: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    splits = []
    for split in ("train", "test"):
        images = [tf.io.encode_png(noise.integers(0, 256, (32, 32, 3), np.uint8)).numpy() for _ in range(6)]
        write_shard(folder / f"cifar10-{split}.tfrecord-00000-of-00001", images, 10)
        splits.append({"name": split, "shardLengths": ["6"]})
    (folder / DATASET_INFO).write_text(json.dumps({"name": "cifar10", "splits": splits}))


def test_all_images_are_read_and_are_the_same(place):
    check(place)


@pytest.mark.slow
def test_real_images_are_read_and_are_the_same(place, shared_data):
    for name, dataset in {"cifar10": "cifar10", "imagenet": "imagenet2012"}.items():
        if not (shared_data / "tfds" / dataset).is_dir():
            pytest.skip(f"no {dataset} in {shared_data / 'tfds'}")
        shutil.rmtree(place / name)
        (place / name).symlink_to(shared_data / "tfds")
    check(place)


def check(place: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(place)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(loaded_images.summary(place)))
