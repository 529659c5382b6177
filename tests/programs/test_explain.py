"""The command that draws where a network sees a class."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import asked_networks
import explain
from keras_resnet.analysis import grad_cam, grad_cam_figure

NAMES = ("cat", "dog", "crane", "fox", "crane", "owl")

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> SimpleNamespace:
    """A network for images of 8x8, and its file."""
    file = tmp_path_factory.mktemp("network") / "network.keras"
    return SimpleNamespace(file=str(file), model=asked_networks.save(file, names=NAMES))


@pytest.fixture
def images(tmp_path) -> dict[str, np.ndarray]:
    """Ten pictures, more than a batch, in the order of their names."""
    noise = np.random.default_rng(0)
    found = {}
    for name in [f"{number}.png" for number in range(8)] + ["deep/8.png", "deep/9.png"]:
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        found[name] = noise.integers(0, 256, (8, 8, 3), np.uint8)
        file.write_bytes(tf.io.encode_png(found[name]).numpy())
    return found


@pytest.fixture
def drawn(monkeypatch) -> list:
    """(image, heat map, title) of every picture that is drawn; it is a picture of few bytes."""
    calls = []
    monkeypatch.setattr(grad_cam_figure, "draw", lambda *parts: calls.append(parts) or f"picture {len(calls)}".encode())
    return calls


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_picture_of_a_folder_gets_the_map_of_its_class(capsys, tmp_path, network, images, drawn):
    output = tmp_path / "heat"
    assert explain.main([network.file, str(tmp_path / "pictures"), "--output", str(output)]) == 0
    assert files(output) == sorted(f"{name}.png" for name in images)
    assert capsys.readouterr().out.splitlines() == [f"{output}/{name}.png" for name in images]
    for number, name in enumerate(images):
        assert (output / f"{name}.png").read_text() == f"picture {number + 1}"
    stacked = np.array(list(images.values()))
    scores = tf.nn.softmax(network.model(stacked, training=False)).numpy()
    heat = grad_cam.heat_map(network.model, stacked)
    for name, image, map_, score, (seen, found, title) in zip(images, stacked, heat, scores, drawn, strict=True):
        np.testing.assert_array_equal(seen, image)
        np.testing.assert_allclose(found, map_, atol=1e-3)
        assert title == f"{Path(name).name}\n{NAMES[score.argmax()]}  {100 * score.max():.2f}%"


@pytest.mark.parametrize("word", ["fox", "3"])
def test_another_class_and_layer(tmp_path, network, images, drawn, word):
    arguments = [network.file, str(tmp_path / "pictures" / "0.png"), "--output", str(tmp_path / "heat")]
    assert explain.main([*arguments, "--class", word, "--layer", "conv2_block1_out"]) == 0
    image = images["0.png"][None]
    [(_, heat, title)] = drawn
    [expected] = grad_cam.heat_map(network.model, image, np.array([3]), "conv2_block1_out")
    np.testing.assert_allclose(heat, expected, atol=1e-3)
    assert title == f"0.png\nfox  {100 * tf.nn.softmax(network.model(image, training=False))[0, 3]:.2f}%"


def test_a_name_comes_before_a_number():
    assert explain.find_class("1", ("3", "1", "0"), 3) == 1
    assert explain.find_class("0", ("3", "1", "0"), 3) == 2
    assert explain.find_class("2", ("3", "1", "0"), 3) == 2
    assert explain.find_class("2", None, 3) == 2


def test_a_class_without_a_name_is_a_number(tmp_path, images, drawn):
    asked_networks.save(tmp_path / "network.keras", names=None)
    picture = str(tmp_path / "pictures" / "0.png")
    arguments = [str(tmp_path / "network.keras"), picture, "--output", str(tmp_path / "heat"), "--class", "2"]
    assert explain.main(arguments) == 0
    assert drawn[0][2].startswith("0.png\nclass 2  ")


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (
            ["--class", "6"],
            "`class` must be a number from 0 to 5 or the name of a class. Received: class='6' (--",
        ),
        (["--class", "-1"], "class='-1'"),
        (["--class", "fux"], "Did you mean 'fox'?"),
        (
            ["--class", "crane"],
            "`class` must be a number, one of 2, 4, which have one name. Received: class='crane'",
        ),
        (["--layer", "conv4_block2_out"], "`layer` must be a feature map of the network, such as conv2_block1_out"),
        (["--class-names", "/missing"], "/missing"),
    ],
)
def test_what_there_is_not_is_refused_and_nothing_is_written(capsys, tmp_path, network, images, flags, wrong):
    flags = [f"{flags[0]}={flags[1]}"]
    assert explain.main([network.file, str(tmp_path / "pictures"), "--output", str(tmp_path / "heat"), *flags]) == 2
    assert wrong in capsys.readouterr().err
    assert not (tmp_path / "heat").exists()


def test_a_missing_picture_is_refused_and_nothing_is_written(capsys, tmp_path, network, images):
    given = [str(tmp_path / "pictures"), str(tmp_path / "no.png")]
    assert explain.main([network.file, *given, "--output", str(tmp_path / "heat")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err
    assert not (tmp_path / "heat").exists()


def test_a_file_that_is_there_is_replaced_only_when_asked(capsys, tmp_path, network, images, drawn):
    output = tmp_path / "heat"
    theirs = output / "deep" / "9.png.png"  # of the last picture
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    arguments = [network.file, str(tmp_path / "pictures"), "--output", str(output)]
    assert explain.main(arguments) == 2
    assert (
        f"{theirs} is there already. Choose another `output`, or replace it with `overwrite=True`"
        in capsys.readouterr().err
    )
    assert files(output) == ["deep/9.png.png"]
    assert theirs.read_text() == "theirs"
    assert explain.main([*arguments, "--overwrite"]) == 0
    assert theirs.read_text() == "picture 10"


def test_two_pictures_never_share_a_file_even_with_overwrite(capsys, tmp_path, network, images):
    (tmp_path / "pictures" / "deep" / "0.png").write_bytes((tmp_path / "pictures" / "0.png").read_bytes())
    given = [str(tmp_path / "pictures" / "0.png"), str(tmp_path / "pictures" / "deep")]
    assert explain.main([network.file, *given, "--output", str(tmp_path / "heat"), "--overwrite"]) == 2
    assert "would both be written to" in capsys.readouterr().err
    assert not (tmp_path / "heat").exists()


def test_pictures_that_differ_in_their_suffix_do_not(tmp_path, network, images, drawn):
    (tmp_path / "pictures" / "0.jpg").write_bytes(tf.io.encode_jpeg(images["0.png"]).numpy())
    given = [str(tmp_path / "pictures" / name) for name in ("0.png", "0.jpg", "0.png")]
    assert explain.main([network.file, *given, "--output", str(tmp_path / "heat")]) == 0
    assert files(tmp_path / "heat") == ["0.jpg.png", "0.png.png"]


def test_a_damaged_picture_is_named_and_the_others_are_drawn(capsys, tmp_path, network, images, drawn):
    (tmp_path / "pictures" / "3.png").write_text("no picture")
    assert explain.main([network.file, str(tmp_path / "pictures"), "--output", str(tmp_path / "heat")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'pictures' / '3.png'}: no JPEG, PNG, WebP, BMP or GIF\n"
    assert files(tmp_path / "heat") == sorted(f"{name}.png" for name in images if name != "3.png")


def test_an_output_that_is_a_file_is_refused(capsys, tmp_path, network, images, drawn):
    (tmp_path / "heat").write_text("theirs")
    assert explain.main([network.file, str(tmp_path / "pictures"), "--output", str(tmp_path / "heat")]) == 2
    assert "is a file. Choose another `output` (--output)" in capsys.readouterr().err
    assert (tmp_path / "heat").read_text() == "theirs"


def test_a_real_picture_is_a_png(tmp_path, network, images):
    picture = str(tmp_path / "pictures" / "0.png")
    assert explain.main([network.file, picture, "--output", str(tmp_path / "heat")]) == 0
    assert (tmp_path / "heat" / "0.png.png").read_bytes().startswith(b"\x89PNG")
