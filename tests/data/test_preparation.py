"""The shards that a preparation writes: what is in them, what is repaired or refused, and what verification finds."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data import preparation
from keras_resnet.data.preparation import Entry, Plan, labels, preparing, repairs
from keras_resnet.host.worker_pool import in_parallel

CLASSES = ("n01", "n02", "n03")


def encoded(form: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (24, 16), seed: int = 0, **more) -> bytes:
    """A picture, smooth enough for JPEG to keep its colors."""
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
    before = {path: path.stat().st_mtime_ns for path in [directory, *directory.iterdir()]}
    assert preparation.prepare(plan, directory) == manifest
    assert {path: path.stat().st_mtime_ns for path in [directory, *directory.iterdir()]} == before


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def copy(prepared, tmp_path) -> Path:
    """A finished preparation that a test may damage."""
    shutil.copytree(prepared[1], tmp_path / "to")
    return tmp_path / "to"


@pytest.mark.parametrize("damage", [lambda shard: shard.unlink(), lambda shard: os.truncate(shard, 100)])
def test_lost_shards_of_a_finished_preparation_are_made_again(prepared, copy, damage):
    plan, directory, manifest = prepared
    damage(copy / TRAIN)
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != TRAIN}
    told = []
    assert preparation.prepare(plan, copy, progress=lambda record, new: told.append((record["file"], new))) == manifest
    assert contents(copy) == contents(directory) and told == [(TRAIN, True)]
    assert {path: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != TRAIN} == before


def test_a_lost_shard_of_changed_images_is_not_made_again(prepared, copy, tmp_path):
    plan, *_ = prepared
    (copy / TRAIN).unlink()
    before = contents(copy)
    entries = [write(tmp_path, e.name, encoded(seed=200 + e.label), e.label) for e in plan.splits["train"]]
    changed = replace(plan, splits={**plan.splits, "train": entries})
    with pytest.raises(ValueError, match=f"{TRAIN} cannot be made again as before"):
        preparation.prepare(changed, copy)
    assert {name: data for name, data in contents(copy).items() if not name.startswith(".")} == before


@pytest.mark.parametrize("content", [b"", b"[]", b'{"plan": 1}', b"\xff", None])
def test_a_damaged_manifest_is_named_and_nothing_is_overwritten(prepared, copy, content):
    file = copy / "manifest.json"
    if content is None:
        content = file.read_bytes().replace(b'"sha256"', b'"sha"', 1)
    file.write_bytes(content)
    before = contents(copy)
    for refused in (lambda: preparation.prepare(prepared[0], copy), lambda: preparation.verify(copy)):
        with pytest.raises(ValueError, match=f"{file} is damaged. Put a copy of it back, or prepare again"):
            refused()
    assert contents(copy) == before


@pytest.fixture
def stopped(prepared, tmp_path, monkeypatch) -> Path:
    """A preparation that ended before its last shard."""

    class PowerFailure(BaseException):
        pass

    def fail(record, new):
        if len(list(tmp_path.glob("stopped/*.tfrecord-*"))) == 5:
            raise PowerFailure

    with pytest.raises(PowerFailure):
        preparation.prepare(prepared[0], tmp_path / "stopped", progress=fail)
    return tmp_path / "stopped"


def shard_records(stopped: Path) -> list[Path]:
    """What a stopped preparation keeps of the shards that it has written."""
    return sorted((stopped / ".preparation").glob("imagenet2012-*.json"))


def made_again(prepared, stopped: Path) -> set[str]:
    """The shards that are written when a stopped preparation continues, to the same end as one that went through."""
    plan, directory, _ = prepared
    told = []
    preparation.prepare(plan, stopped, progress=lambda record, new: told.append(record["file"]) if new else None)
    assert contents(stopped) == contents(directory)
    return set(told)


def test_a_shard_of_a_damaged_record_is_made_again(prepared, stopped):
    left = set(made_again(prepared, shutil.copytree(stopped, stopped.with_name("whole"))))
    assert len(left) == 1
    damaged = dict(zip(shard_records(stopped), ["", "null", "[1]", "{}", '{"bytes": 1}'], strict=True))
    for record, content in damaged.items():
        record.write_text(content)
    assert made_again(prepared, stopped) == left | {record.stem for record in damaged}


def test_a_shard_of_a_record_that_says_too_little_is_made_again(prepared, stopped):
    damaged = dict(zip(shard_records(stopped), ["refused", "lost", "offsets"], strict=False))
    for record, missing in damaged.items():
        record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != missing}))
    assert {record.stem for record in damaged} <= made_again(prepared, stopped)


def test_a_damaged_plan_is_named_and_nothing_is_overwritten(prepared, stopped):
    (stopped / ".preparation" / "plan.json").write_text("{")
    before = contents(stopped)
    with pytest.raises(ValueError, match=r"plan\.json is damaged. Choose another `destination`, or empty this one"):
        preparation.prepare(prepared[0], stopped)
    assert contents(stopped) == before


def test_what_killed_processes_left_is_removed(prepared, stopped):
    for name in (".manifest.json.4711", f".preparation/{TRAIN}.4711", f".preparation/.{TRAIN}.json.4711"):
        (stopped / name).write_bytes(b"half")
    preparation.prepare(prepared[0], stopped)
    assert contents(stopped) == contents(prepared[1])


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
    with preparing.locked(hidden), pytest.raises(BlockingIOError, match="Another process prepares"):
        preparation.prepare(make_plan(tmp_path / "from"), tmp_path / "to")


def test_png_and_cmyk_are_repaired_and_gray_stays(tmp_path):
    colors, gray = encoded(quality=100), encoded(mode="L")
    odd = {"png.JPEG": encoded("PNG"), "cmyk.JPEG": encoded(mode="CMYK", quality=100), "gray.JPEG": gray}
    manifest = preparation.prepare(make_plan(tmp_path / "from", odd), tmp_path / "to")
    assert sorted((image["name"], image["was"]) for image in manifest["repaired"]) == [
        ("train/n01/cmyk.JPEG", "CMYK"),
        ("train/n01/png.JPEG", "PNG"),
    ]
    images = {name: image for name, image, _ in records(tmp_path / "to", "train")}
    assert images["gray.JPEG"] == gray
    expected = tf.io.decode_jpeg(colors).numpy().astype(int)
    for name in ("png.JPEG", "cmyk.JPEG"):
        assert int(tf.io.extract_jpeg_shape(images[name])[2]) == 3
        assert np.abs(tf.io.decode_jpeg(images[name]).numpy() - expected).mean() < 6
    assert preparation.verify(tmp_path / "to") == []


BAD = {
    "empty.JPEG": (b"", "empty"),
    "cut.JPEG": (encoded(size=(40, 40))[:-200], "damaged or truncated JPEG"),
    "cut.PNG": (encoded("PNG")[:-40], "damaged or truncated PNG"),
    "corrupted.JPEG": (
        encoded().replace(b"\xff\xc4", b"\xff\xc4\x00\x1f\x00\xff\xff\xff", 1),
        "damaged or truncated JPEG",
    ),
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
    with pytest.raises(ValueError, match="8 images cannot be used; .*`allow_unreadable=True`") as refusal:
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


def test_an_image_that_cannot_be_read_is_never_left_out(tmp_path):
    plan = make_plan(tmp_path / "from", {"empty.JPEG": b""})
    (tmp_path / "from" / "3.JPEG").unlink()  # as if the disk had been unplugged
    with pytest.raises(ValueError, match="^1 images cannot be used; repair them and start again:\n.*/3.JPEG: No such"):
        preparation.prepare(plan, tmp_path / "to", allow_unreadable=True)
    assert not (tmp_path / "to" / "manifest.json").exists()
    plan = make_plan(tmp_path / "from", {"empty.JPEG": b""})
    manifest = preparation.prepare(plan, tmp_path / "to", allow_unreadable=True)
    assert manifest["images"]["train"] == 36 and len(manifest["refused"]) == 1


def test_a_shard_without_images_is_refused(tmp_path):
    plan = make_plan(tmp_path / "from", {f"{k}.PNG": b"" for k in range(40)}, shards={"train": 76})
    with pytest.raises(ValueError, match="No image for imagenet2012-train.* is usable, .* choose fewer `shards`"):
        preparation.prepare(plan, tmp_path / "to", allow_unreadable=True)
    assert not (tmp_path / "to" / "manifest.json").exists()


def test_of_thousands_of_unusable_images_a_hundred_are_named(tmp_path):
    plan = make_plan(tmp_path / "from", {f"{k}.PNG": b"" for k in range(150)})
    with pytest.raises(ValueError, match="^150 images cannot be used") as refusal:
        preparation.prepare(plan, tmp_path / "to")
    assert str(refusal.value).count(": empty") == 100 and str(refusal.value).endswith("… and 50 more")


def test_larger_images_are_made_smaller(tmp_path):
    gray = encoded(mode="L", size=(60, 40))
    plan = make_plan(tmp_path / "from", {"gray.JPEG": gray}, shorter_side=18)
    manifest = preparation.prepare(plan, tmp_path / "to")
    images = {name: image for name, image, _ in records(tmp_path / "to", "train")}
    sizes = {name: tuple(tf.io.extract_jpeg_shape(image).numpy()) for name, image in images.items()}
    assert sizes["gray.JPEG"] == (18, 27, 1)
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
INDEX = "imagenet2012-train.index.npz"

DAMAGE = {
    "flipped": (lambda d: flip(d / TRAIN, 2000), [f"{TRAIN}: another SHA-256", f"{TRAIN}: damaged after "]),
    "missing": (lambda d: (d / TRAIN).unlink(), [f"{TRAIN}: missing", "train: 27 images. The manifest counts 36"]),
    "cut": (lambda d: (d / TRAIN).write_bytes((d / TRAIN).read_bytes()[:900]), [f"{TRAIN}: damaged after "]),
    "index": (lambda d: flip(d / INDEX, -1), [f"{INDEX}: another SHA-256"]),
    "foreign": (lambda d: (d / f"{TRAIN}0").touch(), [f"{TRAIN}0: not in the manifest"]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_verification_finds_damage(copy, case):
    damage, expected = DAMAGE[case]
    damage(copy)
    problems = preparation.verify(copy)
    for each in expected:
        assert any(problem.startswith(each) for problem in problems)


def test_verification_finds_nothing_in_what_is_whole(copy):
    assert preparation.verify(copy) == []


def test_verification_decodes_every_image(prepared, monkeypatch):
    _, directory, _ = prepared
    monkeypatch.setattr(repairs, "find_fault", lambda data: "odd")
    assert len(preparation.verify(directory)) == 45


def test_verification_needs_a_finished_preparation(tmp_path):
    with pytest.raises(ValueError, match="holds no finished preparation"):
        preparation.verify(tmp_path)


def test_a_killed_worker_is_an_error_that_says_what_to_do():
    with (
        pytest.raises(OSError, match="A worker was killed.* fewer `workers`: finished shards are kept"),
        in_parallel(os._exit, [9, 9, 9], 2, os.getpid) as results,
    ):
        list(results)


def test_ctrl_c_ends_the_workers_at_once():
    def press(result):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), in_parallel(time.sleep, [0, 100, 100], 2, os.getpid) as results:
        press(next(results))
    assert time.monotonic() - began < 50


def test_after_an_error_the_tasks_at_hand_are_finished(tmp_path):
    folders = [str(tmp_path), *(str(tmp_path / f"{number}") for number in range(2))]
    with pytest.raises(FileExistsError), in_parallel(os.mkdir, folders, 2, os.getpid) as results:
        list(results)
    assert (tmp_path / "0").is_dir()


def test_real_images_keep_their_bytes(shared_data, tmp_path):
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


def test_file_names_need_not_be_utf_8(tmp_path):
    """In the shards they stay as they are; what reads as text in the record of a shard and in the manifest does so."""
    name, odd = os.fsdecode(b"caf\xe9.JPEG"), os.fsdecode(b"odd\xe9.JPEG")
    plan = make_plan(tmp_path / "source", {name: encoded(), odd: encoded(mode="CMYK")})
    manifest = preparation.prepare(plan, tmp_path / "to")
    assert manifest["repaired"] == [{"name": f"train/n01/{odd}", "was": "CMYK"}]
    assert preparation.read_manifest(tmp_path / "to")["repaired"] == manifest["repaired"]
    names = []
    for data in tf.data.TFRecordDataset(
        [str(path) for path in (tmp_path / "to").glob("*train.tfrecord-*")]
    ).as_numpy_iterator():
        names += tf.train.Example.FromString(data).features.feature["file_name"].bytes_list.value
    assert b"caf\xe9.JPEG" in names and b"odd\xe9.JPEG" in names
    assert preparation.prepare(plan, tmp_path / "to") == manifest


def test_kaggle_s_table_may_begin_with_a_byte_order_mark(tmp_path):
    table = "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4\n"
    (tmp_path / "table.csv").write_text(table, encoding="utf-8-sig")
    assert labels.read_solution(tmp_path / "table.csv") == {"ILSVRC2012_val_00000001": "n01440764"}


def test_a_complaint_of_libjpeg_is_noted_with_the_name_and_not_shown(tmp_path, capfd):
    """The image stays as it is: everybody trains on ImageNet's so."""
    whole = encoded(size=(60, 60))
    broken = whole[: len(whole) - 20] + b"\xff\xd9"
    manifest = preparation.prepare(make_plan(tmp_path / "source", {"broken.JPEG": broken}), tmp_path / "to")
    [complaint] = manifest["complaints"]
    assert complaint["name"] == "train/n01/broken.JPEG" and complaint["says"].startswith("Corrupt JPEG data: ")
    assert preparation.verify(tmp_path / "to") == [] and capfd.readouterr().err == ""
    assert {name: data for name, data, _ in records(tmp_path / "to", "train")}["broken.JPEG"] == broken
    assert preparation.read_manifest(tmp_path / "to") == manifest
