"""`recipes/convert.py`: weights from a file to a file, proved on photographs before anything is written."""

from __future__ import annotations

import argparse
from dataclasses import replace

import keras
import numpy as np
import pytest

import convert
import keras_resnet
from catalog import RECIPES
from commands import status
from finished_runs import finished_run
from keras_resnet.config.recipe import ScheduleConfig, TrainingConfig
from keras_resnet.models import weights_loading
from keras_resnet.weights import conversion
from keras_resnet.weights.readers.state_dict import read_state_dict
from small_depths import small_depths

torch = pytest.importorskip("torch", reason="the frameworks' own logits are computed with PyTorch")

small_depths = pytest.fixture(small_depths)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A file of akamaster's ResNet-8, whose weights have no meaning."""
    network = keras_resnet.CifarResNet(8, shortcut="A")
    random = np.random.default_rng(0)
    for variable in network.weights:
        variable.assign(variable + random.uniform(0, 0.3, variable.shape))
    path = tmp_path_factory.mktemp("theirs") / "resnet8.pth"
    state = conversion.from_ours(weights_loading.weights_of(network).arrays, "akamaster", network.spec)
    torch.save({"state_dict": {f"module.{name}": torch.from_numpy(array) for name, array in state.items()}}, path)
    return path


def refused(arguments, capsys) -> str:
    assert status(convert.main, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_round_and_round_to_the_bit(theirs, tmp_path, capsys):
    """From PyTorch to us and back by every kind of file."""
    source = theirs
    for file in ("a.weights.h5", "b.keras", "c.safetensors", "d.pth"):
        assert convert.main([str(source), "--output", str(tmp_path / file)]) == 0
        source = tmp_path / file
    first, last = read_state_dict(theirs), read_state_dict(source)
    assert first.keys() == last.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], last[name], err_msg=name)
    said = capsys.readouterr().out
    assert said.count("8 of 8 have the same largest one") == 4  # as source, as target, and the last as both
    assert "resnet8.pth: akamaster, ResNet-8, shortcut A, 10 classes, images by torch" in said
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_was_written_can_be_used(theirs, tmp_path):
    assert convert.main([str(theirs), "--output", str(tmp_path / "n.weights.h5")]) == 0
    network = keras_resnet.CifarResNet(8, weights=tmp_path / "n.weights.h5")
    assert network.preprocessing == "torch"
    assert convert.main([str(theirs), "--output", str(tmp_path / "n.keras")]) == 0
    whole = keras.saving.load_model(tmp_path / "n.keras")
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(whole(images), network(images), rtol=1e-5)
    assert whole.weights_metadata == network.weights_metadata


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_channels_are_converted(tmp_path, capsys, channels):
    network = keras_resnet.CifarResNet(8, input_shape=(32, 32, channels))
    state = conversion.from_ours(weights_loading.state_dict(network), "akamaster", network.spec)
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, tmp_path / "a.pth")
    assert convert.main([str(tmp_path / "a.pth"), "--output", str(tmp_path / "b.keras")]) == 0
    assert convert.main([str(tmp_path / "b.keras"), "--output", str(tmp_path / "c.safetensors")]) == 0
    said = capsys.readouterr().out
    assert said.count("8 of 8 have the same largest one") == 2 and f"{channels} channel" in said
    back = read_state_dict(tmp_path / "c.safetensors")
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_what_was_assumed_is_printed_and_a_person_may_say_otherwise(theirs, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghij"), encoding="utf-8")
    arguments = [str(theirs), "--output", str(tmp_path / "n.weights.h5")]
    assert convert.main(arguments) == 0
    assert "assumed   preprocessing torch, shortcut A, as akamaster has it: weights alone do not tell" in (
        capsys.readouterr().out
    )
    assert convert.main([*arguments, "--overwrite", "--preprocessing", "tf", "--class-names", str(names)]) == 0
    said = capsys.readouterr().out
    assert "images by tf" in said and "assumed   shortcut A, as akamaster" in said
    known = weights_loading.read(tmp_path / "n.weights.h5").metadata
    assert (known.preprocessing, known.class_names) == ("tf", tuple("abcdefghij"))
    error = refused(
        [tmp_path / "n.weights.h5", "--output", tmp_path / "o.weights.h5", "--preprocessing", "torch"], capsys
    )
    assert "`preprocessing` must be None or 'tf', which" in error and "(--preprocessing)" in error
    names.write_text("a\nb", encoding="utf-8")
    error = refused([*arguments, "--overwrite", "--class-names", names], capsys)
    assert "`class_names` must have 10 lines" in error and "(--class-names)" in error


def test_the_strides_of_a_file_are_what_a_person_says(small_depths, tmp_path, capsys):
    """MSRA's weights in the names of torchvision: PyTorch computes them with the same strides and padding."""
    network = keras_resnet.ResNet(14, classes=7, input_shape=(64, 64, 3), bottleneck_stride="1x1")
    state = conversion.from_ours(
        weights_loading.state_dict(network),
        "torchvision",
        replace(network.spec, bottleneck_stride="3x3", pool_padding="symmetric"),
    )
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, tmp_path / "a.pth")
    arguments = [tmp_path / "a.pth", "--output", tmp_path / "a.weights.h5", "--pool-padding", "same"]
    assert status(convert.main, *arguments, "--bottleneck-stride", "1x1") == 0
    assert "8 of 8 have the same largest one" in capsys.readouterr().out
    assert weights_loading.read(tmp_path / "a.weights.h5").metadata.spec == network.spec


def test_of_several_weights_those_taken_are_printed_and_may_be_chosen(theirs, tmp_path, capsys):
    state = torch.load(theirs)["state_dict"]
    average = {name: tensor + 1e-3 for name, tensor in state.items()}
    content = {"arch": "resnet8", "state_dict": state, "state_dict_ema": average, "args": argparse.Namespace()}
    torch.save(content, tmp_path / "a.pth.tar")
    arguments = [tmp_path / "a.pth.tar", "--output", tmp_path / "n.safetensors", "--overwrite"]
    assert status(convert.main, *arguments) == 0
    said = capsys.readouterr().out
    assert "taken     state_dict_ema, and not state_dict (--entry)" in said and "called    resnet8" in said
    np.testing.assert_array_equal(
        read_state_dict(tmp_path / "n.safetensors")["linear.bias"], average["module.linear.bias"].numpy()
    )
    assert status(convert.main, *arguments, "--entry", "state_dict") == 0
    np.testing.assert_array_equal(
        read_state_dict(tmp_path / "n.safetensors")["linear.bias"], state["module.linear.bias"].numpy()
    )
    assert "`entry` must be one of state_dict, state_dict_ema" in refused([*arguments, "--entry", "ema"], capsys)


def test_a_file_whose_name_is_no_valid_unicode_is_converted(theirs, tmp_path, capsys):
    source = tmp_path / "caf\udce9.pth"
    source.write_bytes(theirs.read_bytes())
    assert convert.main([str(source), "--output", str(tmp_path / "n\udce9.weights.h5")]) == 0
    assert "caf\\xe9.pth: akamaster" in capsys.readouterr().out


def test_logits_that_differ_write_nothing(theirs, tmp_path, capsys, monkeypatch):
    from keras_resnet.models import reference_logits

    def shifted(state_dict, layout, spec, images):
        return reference_logits.torch_logits(state_dict, layout, spec, images + 0.01)

    monkeypatch.setitem(reference_logits.REFERENCES, "akamaster", shifted)
    assert convert.main([str(theirs), "--output", str(tmp_path / "n.weights.h5")]) == 1
    assert "the logits differ too much; " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_framework_is_said(theirs, tmp_path, capsys, monkeypatch):
    from keras_resnet.models import reference_logits

    def missing(*arguments):
        raise ModuleNotFoundError(name="torch")

    monkeypatch.setitem(reference_logits.REFERENCES, "akamaster", missing)
    assert convert.main([str(theirs), "--output", str(tmp_path / "n.weights.h5")]) == 0
    assert "not compared, since torch is not installed" in capsys.readouterr().out


def test_photographs_of_a_folder_are_taken(theirs, tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    for number, image in enumerate(images):
        keras.utils.save_img(tmp_path / "pictures" / f"{number}.png", image)
    arguments = [str(theirs), "--output", str(tmp_path / "n.weights.h5"), "--images"]
    assert convert.main([*arguments, str(tmp_path / "pictures")]) == 0
    assert "logits of 3 views differ" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    error = refused([*arguments, tmp_path / "empty", "--overwrite"], capsys)
    assert "must hold JPEG, PNG, WebP, BMP or GIF images" in error


def test_bad_command_lines_are_refused_and_nothing_is_touched(theirs, tmp_path, capsys):
    target = tmp_path / "n.weights.h5"
    target.write_bytes(b"precious")
    assert "is there already. Choose another `output`, or replace it with `overwrite=True`" in refused(
        [theirs, "--output", target], capsys
    )
    assert target.read_bytes() == b"precious"
    assert "`output` must end in one of .weights.h5, .keras" in refused(
        [theirs, "--output", tmp_path / "n.onnx"], capsys
    )
    assert "There is no directory" in refused([theirs, "--output", tmp_path / "no" / "n.keras"], capsys)
    assert "There is no file or directory" in refused([tmp_path / "no.pth", "--output", tmp_path / "n.keras"], capsys)
    assert "what must be given is missing: --output" in refused([theirs], capsys)
    error = refused([theirs, "--output", tmp_path / "n.pth", "--as", "keras"], capsys)
    assert "`as` must be one of torchvision, akamaster with the `output`" in error
    error = refused([theirs, "--output", tmp_path / "n.pth", "--as", "torchvision"], capsys)
    assert "torchvision has no such network: family must be 'imagenet', as in the networks of" in error
    assert "Received: family='cifar'. Write a .weights.h5 or .keras instead" in error
    assert "`as` must be absent with the `output`" in refused(
        [theirs, "--output", tmp_path / "n.keras", "--as", "keras"], capsys
    )
    (tmp_path / "cut.pth").write_bytes(theirs.read_bytes()[:1000])
    assert "is no file of PyTorch, or damaged" in refused(
        [tmp_path / "cut.pth", "--output", tmp_path / "n.keras"], capsys
    )
    assert [path.name for path in tmp_path.iterdir()] != [] and not (tmp_path / "n.keras").exists()


def test_a_run_of_gray_images_gives_its_weights(tmp_path, capsys):
    """Such as one on digits."""
    run = finished_run(
        tmp_path / "run",
        replace(
            RECIPES["digits-resnet8"],
            schedule=ScheduleConfig(iterations=2, boundaries=(1,)),
            training=TrainingConfig(global_batch_size=32, log_every=2, validate_every=2),
        ),
    ).path
    capsys.readouterr()
    assert convert.main([str(run), "--output", str(tmp_path / "n.safetensors")]) == 0
    assert "ours, ResNet-8, shortcut A, 10 classes, 1 channel, images by its own normalization" in (
        capsys.readouterr().out
    )
    found = weights_loading.read(tmp_path / "n.safetensors")
    assert found.metadata.class_names == tuple("0123456789") and found.metadata.spec.channels == 1


def test_a_run_gives_its_weights(theirs, tmp_path, monkeypatch, capsys):
    """Without the normalization of its images, which no file of weights has."""
    from keras_resnet.inference import trained_network

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(
        trained_network, "load", lambda path: trained_network._of_weights(theirs, weights_loading.read(theirs), None)
    )
    assert convert.main([str(tmp_path / "run"), "--output", str(tmp_path / "n.safetensors")]) == 0
    assert "ours, ResNet-8, shortcut A, 10 classes, images by its own normalization" in capsys.readouterr().out
    first, last = read_state_dict(theirs), read_state_dict(tmp_path / "n.safetensors")
    np.testing.assert_array_equal(first["layer1.0.conv1.weight"], last["layer1.0.conv1.weight"])
