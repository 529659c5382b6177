"""The shards that a preparation writes: what is in them, what is repaired or refused, and what verification finds."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data import preparation, repairs
from keras_resnet.data.preparation import Entry, Plan

CLASSES = ("n01", "n02", "n03")


def encoded(form: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (24, 16), seed: int = 0, **more) -> bytes:
    """A picture, smooth enough for JPEG to keep its colours."""
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), np.uint8)
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
    stream = io.BytesIO()
    picture.save(stream, form, **more)
    return stream.getvalue()


def make_plan(folder: Path, images: dict[str, bytes] | None = None, **settings) -> Plan:
    """A dozen images in each of three classes, and others by name in the first one."""
    folder.mkdir(exist_ok=True)
    train = []
    for number in range(36):
        train.append(write(folder, f"{number}.JPEG", encoded(seed=number, size=(8 + number, 20)), number % 3))
    train += [write(folder, name, data, 0) for name, data in (images or {}).items()]
    validation = [write(folder, f"v{number}.JPEG", encoded(seed=100 + number), number % 3) for number in range(9)]
    shards = {"train": 4, "validation": 2} | settings.pop("shards", {})
    return Plan(CLASSES, {"train": train, "validation": validation}, shards, **settings)


def write(folder: Path, name: str, data: bytes, label: int) -> Entry:
    (folder / name).write_bytes(data)
    return Entry(name, label, str(folder / name), 0, len(data))


def records(directory: Path, split: str) -> list[tuple[str, bytes, int]]:
    """What TensorFlow reads: name, image, label."""
    found = []
    files = [str(path) for path in sorted(directory.glob(f"*{split}.tfrecord-*"))]
    for data in tf.data.TFRecordDataset(files).as_numpy_iterator():
        feature = tf.train.Example.FromString(data).features.feature
        name, image = (feature[key].bytes_list.value[0] for key in ("file_name", "image"))
        found.append((name.decode(), image, feature["label"].int64_list.value[0]))
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    plan = make_plan(folder / "source")
    manifest = preparation.prepare(plan, folder / "imagenet2012" / "5.1.0")
    return plan, folder / "imagenet2012" / "5.1.0", manifest


def test_every_image_is_there_once_with_its_bytes(prepared):
    plan, directory, manifest = prepared
    for split, entries in plan.splits.items():
        expected = [(entry.name, Path(entry.file).read_bytes(), entry.label) for entry in entries]
        assert sorted(records(directory, split)) == sorted(expected)
    assert manifest["images"] == {"train": 36, "validation": 9}
    assert not manifest["complete"] and manifest["repaired"] == manifest["refused"] == []


def test_shards_are_even_and_mixed(prepared):
    _, directory, manifest = prepared
    assert [shard["images"] for shard in manifest["shards"]["train"]] == [9, 9, 9, 9]
    names = [int(name.split(".")[0]) for name, _, _ in records(directory, "train")]
    assert names != sorted(names)
    assert all(len({label for *_, label in records(directory, "train")[9 * k : 9 * k + 9]}) == 3 for k in range(4))


def test_the_index_leads_to_the_images(prepared):
    _, directory, _ = prepared
    for split in ("train", "validation"):
        index = np.load(directory / f"imagenet2012-{split}.index.npz")
        assert [index[key].dtype for key in ("shard", "offset", "label")] == [np.int32, np.int64, np.int64]
        shards = [path.read_bytes() for path in sorted(directory.glob(f"*{split}.tfrecord-*"))]
        found = []
        for shard, offset in zip(index["shard"], index["offset"], strict=True):
            length = int.from_bytes(shards[shard][offset : offset + 8], "little")
            data = shards[shard][offset + 12 : offset + 12 + length]
            feature = tf.train.Example.FromString(data).features.feature
            found.append((feature["file_name"].bytes_list.value[0].decode(), feature["label"].int64_list.value[0]))
        assert found == [(name, label) for name, _, label in records(directory, split)]
        assert index["label"].tolist() == [label for _, label in found]


def test_tensorflow_datasets_reads_it(prepared):
    tfds = pytest.importorskip("tensorflow_datasets")
    plan, directory, _ = prepared
    builder = tfds.builder_from_directory(str(directory))
    assert builder.info.features["label"].names == list(CLASSES)
    assert builder.info.splits["train"].shard_lengths == [9, 9, 9, 9]
    read = {e["file_name"].decode(): e for e in tfds.as_numpy(builder.as_dataset("validation"))}
    for entry in plan.splits["validation"]:
        assert read[entry.name]["label"] == entry.label
        pixels = tf.io.decode_jpeg(Path(entry.file).read_bytes(), channels=3).numpy()
        np.testing.assert_array_equal(read[entry.name]["image"], pixels)


def test_a_finished_preparation_is_left_as_it_is(prepared):
    plan, directory, manifest = prepared
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert preparation.prepare(plan, directory) == manifest
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


@pytest.mark.parametrize("change", [{"shorter_side": 10}, {"shards": {"train": 3, "validation": 2}}])
def test_another_plan_is_refused(prepared, change):
    plan, directory, _ = prepared
    with pytest.raises(ValueError, match="of other images or with other settings"):
        preparation.prepare(replace(plan, **change), directory)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").touch()
    with pytest.raises(ValueError, match="holds files that no preparation left"):
        preparation.prepare(make_plan(tmp_path / "from"), tmp_path / "to")


def test_two_preparations_of_one_directory_do_not_meet(tmp_path):
    hidden = tmp_path / "to" / ".preparation"
    hidden.mkdir(parents=True)
    with preparation.locked(hidden), pytest.raises(BlockingIOError, match="Another process prepares"):
        preparation.prepare(make_plan(tmp_path / "from"), tmp_path / "to")


def test_png_and_cmyk_are_repaired_and_grey_stays(tmp_path):
    colours, grey = encoded(quality=100), encoded(mode="L")
    odd = {"png.JPEG": encoded("PNG"), "cmyk.JPEG": encoded(mode="CMYK", quality=100), "grey.JPEG": grey}
    manifest = preparation.prepare(make_plan(tmp_path / "from", odd), tmp_path / "to")
    assert sorted((image["name"], image["was"]) for image in manifest["repaired"]) == [
        ("train/n01/cmyk.JPEG", "CMYK"),
        ("train/n01/png.JPEG", "PNG"),
    ]
    images = {name: image for name, image, _ in records(tmp_path / "to", "train")}
    assert images["grey.JPEG"] == grey
    expected = tf.io.decode_jpeg(colours).numpy().astype(int)
    for name in ("png.JPEG", "cmyk.JPEG"):
        assert int(tf.io.extract_jpeg_shape(images[name])[2]) == 3
        assert np.abs(tf.io.decode_jpeg(images[name]).numpy() - expected).mean() < 6
    assert preparation.verify(tmp_path / "to") == []


BAD = {
    "empty.JPEG": (b"", "empty"),
    "cut.JPEG": (encoded(size=(40, 40))[:-200], "damaged or truncated JPEG"),
    "cut.PNG": (encoded("PNG")[:-40], "damaged or truncated PNG"),
    "text.JPEG": (b"<html>404</html>", "neither JPEG nor PNG"),
    "animated.JPEG": (
        encoded("GIF", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
        "neither JPEG nor PNG, but GIF",
    ),
    "animated.PNG": (
        encoded("PNG", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
        "animated PNG",
    ),
    "deep.PNG": (tf.io.encode_png(np.zeros((4, 4, 3), np.uint16)).numpy(), "16-bit PNG"),
}


def test_unusable_images_are_all_named_and_refused_then_left_out_if_allowed(tmp_path):
    plan = make_plan(tmp_path / "from", {name: data for name, (data, _) in BAD.items()}, shards={"train": 12})
    with pytest.raises(ValueError, match="7 images cannot be used; .*--allow-unreadable") as refusal:
        preparation.prepare(plan, tmp_path / "to")
    for name, (_, reason) in BAD.items():
        assert f"\n  train/n01/{name}: {reason}" in str(refusal.value)
    assert not (tmp_path / "to" / "manifest.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "to").glob("*.tfrecord-*")}
    assert finished
    manifest = preparation.prepare(plan, tmp_path / "to", allow_unreadable=True)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    reasons = {image["name"].split("/")[-1]: image["reason"] for image in manifest["refused"]}
    assert reasons == {name: reason for name, (_, reason) in BAD.items()}
    assert manifest["images"]["train"] == len(records(tmp_path / "to", "train")) == 36
    assert preparation.verify(tmp_path / "to") == []


def test_a_repaired_source_is_finished_by_the_same_command(tmp_path):
    with pytest.raises(ValueError, match="1 images cannot be used"):
        preparation.prepare(make_plan(tmp_path / "from", {"a.JPEG": b""}), tmp_path / "to")
    preparation.prepare(make_plan(tmp_path / "from", {"a.JPEG": encoded()}), tmp_path / "to")
    assert encoded() in [image for _, image, _ in records(tmp_path / "to", "train")]


def test_an_image_that_vanished_or_shrank_is_named(tmp_path):
    plan = make_plan(tmp_path / "from")
    (tmp_path / "from" / "3.JPEG").unlink()
    (tmp_path / "from" / "4.JPEG").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="2 images cannot be used") as refusal:
        preparation.prepare(plan, tmp_path / "to")
    assert "train/n01/3.JPEG: No such file or directory" in str(refusal.value)
    assert "4.JPEG: " in str(refusal.value) and "ends within it" in str(refusal.value)


def test_larger_images_are_made_smaller(tmp_path):
    grey = encoded(mode="L", size=(60, 40))
    plan = make_plan(tmp_path / "from", {"grey.JPEG": grey}, shorter_side=18)
    manifest = preparation.prepare(plan, tmp_path / "to")
    images = {name: image for name, image, _ in records(tmp_path / "to", "train")}
    sizes = {name: tuple(tf.io.extract_jpeg_shape(image).numpy()) for name, image in images.items()}
    assert sizes["grey.JPEG"] == (18, 27, 1)
    assert sizes["30.JPEG"] == (18, 34, 3)  # from 20x38
    assert images["5.JPEG"] == (tmp_path / "from" / "5.JPEG").read_bytes()  # 20x13
    assert manifest["resized"] == sum(8 + number > 18 for number in range(36)) + 1
    assert "18 pixels" in json.loads((tmp_path / "to" / "dataset_info.json").read_text())["description"]
    before = tf.io.decode_jpeg((tmp_path / "from" / "30.JPEG").read_bytes()).numpy().mean()
    assert abs(tf.io.decode_jpeg(images["30.JPEG"]).numpy().mean() - before) < 3


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


TRAIN = "imagenet2012-train.tfrecord-00001-of-00004"

DAMAGE = {
    "flipped": (lambda d: flip(d / TRAIN, 2000), f"{TRAIN}: another SHA-256"),
    "flipped record": (lambda d: flip(d / TRAIN, 2000), f"{TRAIN}: damaged after "),
    "missing": (lambda d: (d / TRAIN).unlink(), f"{TRAIN}: missing"),
    "count": (lambda d: (d / TRAIN).unlink(), "train: 27 images. The manifest counts 36"),
    "cut": (lambda d: (d / TRAIN).write_bytes((d / TRAIN).read_bytes()[:900]), f"{TRAIN}: damaged after "),
    "index": (lambda d: flip(d / "imagenet2012-train.index.npz", -1), "imagenet2012-train.index.npz: another SHA-256"),
    "foreign": (lambda d: (d / f"{TRAIN}0").touch(), f"{TRAIN}0: not in the manifest"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_verification_finds_damage(prepared, tmp_path, case):
    _, directory, _ = prepared
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert preparation.verify(tmp_path) == []
    damage, expected = DAMAGE[case]
    damage(tmp_path)
    assert any(problem.startswith(expected) for problem in preparation.verify(tmp_path))


def test_verification_decodes_every_image(prepared, monkeypatch):
    _, directory, _ = prepared
    monkeypatch.setattr(repairs, "find_fault", lambda data: "odd")
    assert len(preparation.verify(directory)) == 45


def test_verification_needs_a_finished_preparation(tmp_path):
    with pytest.raises(ValueError, match="holds no finished preparation"):
        preparation.verify(tmp_path)


def test_real_photographs_keep_their_bytes(shared_data, tmp_path):
    sample = shared_data / "tfds" / "imagenet2012" / "5.1.0"
    if not sample.is_dir():
        pytest.skip(f"no sample of ImageNet: {sample} is no folder")
    names = tuple((sample / "label.labels.txt").read_text().split())
    assert list(names) == sorted(names)  # labels are positions in the sorted list, as a preparation gives them
    splits = {}
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        splits[split] = [write(tmp_path / split, *record) for record in records(sample, split)]
    plan = Plan(names, splits, {"train": 3, "validation": 2})
    manifest = preparation.prepare(plan, tmp_path / "to")
    assert manifest["images"] == {"train": 200, "validation": 100}
    for split in splits:
        assert sorted(records(tmp_path / "to", split)) == sorted(records(sample, split))
    assert (tmp_path / "to" / "label.labels.txt").read_bytes() == (sample / "label.labels.txt").read_bytes()
    ours, theirs = (json.loads((place / "dataset_info.json").read_text()) for place in (tmp_path / "to", sample))
    assert [split["name"] for split in ours["splits"]] == [split["name"] for split in theirs["splits"]]
    assert [int(split["numBytes"]) for split in ours["splits"]] == [
        int(split["numBytes"]) for split in theirs["splits"]
    ]
    assert preparation.verify(tmp_path / "to") == []
