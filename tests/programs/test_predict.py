"""The command that says what a network sees in pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import asked_networks
import predict
from cli import pictures
from tiers import slow

NAMES = ("cat", "dog", "fish", "fox", "owl", "rat", "yak")

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> SimpleNamespace:
    """A network for images of 8x8, its file, and what it says of images."""
    file = tmp_path_factory.mktemp("network") / "network.keras"
    model = asked_networks.save(file, names=NAMES)
    return SimpleNamespace(
        file=str(file), scores=lambda images: tf.nn.softmax(model(np.array(images), training=False)).numpy()
    )


@pytest.fixture
def images(tmp_path) -> dict[str, np.ndarray]:
    """Seven pictures in a folder, in the order of their names."""
    noise = np.random.default_rng(0)
    found = {}
    for name in ("a.png", "b.png", "c.png", "d.png", "deep/e.png", "deep/f.png", "g.png"):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        found[str(file)] = noise.integers(0, 256, (8, 8, 3), np.uint8)
        file.write_bytes(tf.io.encode_png(found[str(file)]).numpy())
    return found


def read(capsys, *arguments, status=0) -> list[dict]:
    assert predict.main([*map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("batch_size", [3, *slow([1, 32])])
def test_the_scores_of_a_folder_are_those_of_the_network(capsys, tmp_path, network, images, batch_size):
    found = read(capsys, network.file, tmp_path / "pictures", "--batch-size", batch_size)
    assert [entry["file"] for entry in found] == list(images)
    for entry, expected in zip(found, network.scores(list(images.values())), strict=True):
        best = np.argsort(-expected)[:5]
        assert [row["class"] for row in entry["scores"]] == best.tolist()
        assert [row["name"] for row in entry["scores"]] == [NAMES[label] for label in best]
        assert [row["score"] for row in entry["scores"]] == pytest.approx(expected[best].tolist(), rel=1e-4)


def test_files_and_folders_together_count_once(capsys, tmp_path, network, images):
    folder, first = tmp_path / "pictures", next(iter(images))
    found = read(capsys, network.file, folder / "g.png", folder / "deep", folder / "g.png", first, "--top", 1)
    assert [Path(entry["file"]).name for entry in found] == ["g.png", "e.png", "f.png", "a.png"]
    assert all(len(entry["scores"]) == 1 for entry in found)


def test_the_table(capsys, tmp_path, network, images):
    first = next(iter(images))
    assert predict.main([network.file, first, "--top", "100"]) == 0
    [scores] = network.scores([images[first]])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == first
    expected = [[f"{100 * scores[label]:.2f}%", NAMES[label]] for label in np.argsort(-scores)]
    assert [row.split() for row in rows] == expected


def test_a_damaged_picture_is_named_and_the_others_of_its_batch_are_predicted(capsys, tmp_path, network, images):
    whole = read(capsys, network.file, tmp_path / "pictures")
    damaged = list(images)[2]
    Path(damaged).write_bytes(Path(damaged).read_bytes()[:-30])
    assert predict.main([network.file, str(tmp_path / "pictures"), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err == f"error: {damaged}: truncated\n"
    rest = json.loads(printed.out)
    assert [entry["file"] for entry in rest] == [file for file in images if file != damaged]
    for entry in rest:
        [same] = [other for other in whole if other["file"] == entry["file"]]
        assert [row["score"] for row in entry["scores"]] == pytest.approx([row["score"] for row in same["scores"]])


def test_nothing_but_damaged_pictures(capsys, tmp_path, network):
    (tmp_path / "a.png").write_text("no picture")
    assert read(capsys, network.file, tmp_path, status=1) == []


def test_classes_without_names_are_numbers(capsys, tmp_path, images):
    asked_networks.save(tmp_path / "network.keras", names=None)
    [entry] = read(capsys, tmp_path / "network.keras", next(iter(images)))
    assert sorted((row["class"], row["name"]) for row in entry["scores"]) == [(0, "0"), (1, "1"), (2, "2")]


def test_names_from_a_file_come_before_those_of_the_network(capsys, tmp_path, network, images):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"der Nächste {number}\n" for number in range(7)), encoding="utf-8")
    [entry] = read(capsys, network.file, next(iter(images)), "--class-names", names)
    assert all(row["name"] == f"der Nächste {row['class']}" for row in entry["scores"])


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"cat\ndog\n", "`class_names` must have 7 lines, one for each class. Received: 2 lines (--class-names)"),
        (b"a\nb\nc\nd\ne\nf\ng\nh", "Received: 8 lines"),
        (b"a\nb\nc\n\ne\nf\ng", "must name a class in every line"),
        (b"\xff\xfe", "must be a text in UTF-8"),
        (b"a\nb\nc\nd\ne\nf\n\x1b[2J", r"has the class '\x1b[2J'"),
        (None, "names.txt"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(capsys, tmp_path, network, images, content, wrong):
    names = tmp_path / "names.txt"
    if content is not None:
        names.write_bytes(content)
    assert predict.main([network.file, next(iter(images)), "--class-names", str(names)]) == 2
    printed = capsys.readouterr()
    assert wrong in printed.err
    assert not printed.out


def test_what_is_not_there_is_refused_before_anything_is_predicted(capsys, tmp_path, network, images):
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, wrong in [
        ([network.file, str(empty)], f"{empty} must hold JPEG, PNG, WebP, BMP or GIF images"),
        ([network.file, next(iter(images)), str(empty)], f"{empty} must hold JPEG, PNG, WebP, BMP or GIF images"),
        ([network.file, str(tmp_path / "no.png")], f"There is no file or folder {tmp_path / 'no.png'}"),
        ([str(tmp_path / "no.keras"), str(empty)], f"There is no file or directory {tmp_path / 'no.keras'}"),
        ([str(empty), next(iter(images))], f"{empty}"),
    ]:
        assert predict.main(arguments) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("error: ")
        assert wrong in printed.err
        assert not printed.out


@pytest.mark.parametrize("flag", ["--top", "--batch-size"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_a_number_below_one_is_refused(capsys, flag, value):
    with pytest.raises(SystemExit) as refusal:
        predict.main(["network", "picture", f"{flag}={value}"])
    assert refusal.value.code == 2
    told, name = capsys.readouterr().err, flag[2:].replace("-", "_")
    rule = "at least 1" if value.lstrip("-").isdecimal() else "a whole number"
    assert told.startswith(f"error: `{name}` must be {rule}. Received: {name}=") and told.endswith(f" ({flag})\n")


def test_a_broken_network_is_refused(capsys, tmp_path, images):
    network = asked_networks.save(tmp_path / "network.keras", names=None)
    network.get_layer("predictions").bias.assign([0.0, np.nan, 0.0])
    network.save(tmp_path / "network.keras")
    assert predict.main([str(tmp_path / "network.keras"), next(iter(images))]) == 2
    assert "broken network: its scores are not numbers" in capsys.readouterr().err


def test_a_network_of_grey_images_sees_colours(capsys, tmp_path, images):
    asked_networks.save(tmp_path / "network.keras", channels=1, names=None)
    assert len(read(capsys, tmp_path / "network.keras", tmp_path / "pictures")) == 7


def test_a_network_of_any_size_sees_the_size_of_its_architecture(capsys, tmp_path, images):
    network = asked_networks.save(tmp_path / "network.keras", size=None, names=None)
    content = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    (tmp_path / "picture.png").write_bytes(tf.io.encode_png(content).numpy())
    [entry] = read(capsys, tmp_path / "network.keras", tmp_path / "picture.png")
    best = tf.nn.softmax(network(content[None], training=False)).numpy().max()
    assert entry["scores"][0]["score"] == pytest.approx(best, rel=1e-4)


def test_ctrl_c_ends_without_a_traceback(capsys, monkeypatch, network, images):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "load", interrupted)
    assert predict.main([network.file, next(iter(images))]) == 130
    assert "stopped" in capsys.readouterr().err


def test_a_package_that_is_missing_is_named(capsys, monkeypatch, network, images):
    def lacking(*arguments):
        raise ModuleNotFoundError(name="safetensors")

    monkeypatch.setattr(pictures, "load", lacking)
    assert predict.main([network.file, next(iter(images))]) == 2
    assert "error: safetensors is not installed. To install" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_cifar10(capsys, tmp_path, shared_data):
    """Weights of another program, on pictures written from the test images: few are mistaken."""
    weights, tfds = shared_data / "weights" / "resnet20-12fca82f.th", shared_data / "tfds"
    if not weights.is_file() or not (tfds / "cifar10").is_dir():
        pytest.skip(f"no {weights} or no cifar10 in {tfds}")
    from keras_resnet.data.datasets import loading

    test = loading.load("cifar10", tfds).validation
    for number in range(100):
        (tmp_path / f"{number:03}.png").write_bytes(tf.io.encode_png(test.images[number]).numpy())
    found = read(capsys, weights, tmp_path, "--preprocessing", "torch", "--top", 1)
    seen = [entry["scores"][0]["class"] for entry in found]
    assert (seen != test.labels[:100]).sum() < 15  # of 1,000 there were 85


def test_a_file_of_names_may_be_saved_by_any_editor(capsys, tmp_path, network, images):
    """With a byte order mark, and line ends of other systems."""
    own, file = ("café", "|", "$x$", "<b>", '"', "狐", "=1"), tmp_path / "names.txt"
    file.write_bytes("\r\n".join([*own, ""]).encode("utf-8-sig"))
    [found] = read(capsys, network.file, next(iter(images)), "--class-names", file, "--top", 7)
    assert {row["class"]: row["name"] for row in found["scores"]} == dict(enumerate(own))


def test_a_file_name_is_shown_on_any_terminal_and_found_again_from_json(capsys, tmp_path, network, images):
    name = os.fsdecode(b"caf\xe9\x1b[31m.png")
    first = Path(next(iter(images))).rename(tmp_path / name)
    assert predict.main([network.file, str(first)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == rf"{tmp_path}/caf\xe9\x1b[31m.png"
    [found] = read(capsys, network.file, first)
    assert Path(found["file"]) == first and first.is_file()
    first.write_text("no picture")
    assert predict.main([network.file, str(first)]) == 1
    assert capsys.readouterr().err == (rf"error: {tmp_path}/caf\xe9\x1b[31m.png: no JPEG, PNG, WebP, BMP or GIF" + "\n")


def test_what_is_left_out_is_counted_and_special_files_are_named(capfd, tmp_path, network, images):
    folder = tmp_path / "pictures"
    (folder / "deep" / "notes.txt").touch()
    os.mkfifo(folder / "pipe.jpg")
    broken = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).numpy()
    (folder / "h.jpg").write_bytes(broken[: len(broken) // 2] + b"\xff\xd9")
    assert predict.main([network.file, str(folder)]) == 1
    printed = capfd.readouterr()
    assert [line for line in printed.out.splitlines() if line[0] != " "] == list(images)
    assert printed.err.splitlines() == [
        f"leaving out a file whose name is not of JPEG, PNG, WebP, BMP or GIF: {folder / 'deep' / 'notes.txt'} …",
        f"error: {folder / 'h.jpg'}: damaged (premature end of data segment)",
        f"error: {folder / 'pipe.jpg'}: a named pipe, not a file",
    ]
