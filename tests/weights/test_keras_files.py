"""Keras's files of weights, new and old: what is read of them, and what is refused."""

from __future__ import annotations

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.models.weights_loading import state_dict
from keras_resnet.weights.readers.state_dict import read_state_dict


def small() -> keras.Model:
    """A convolution, a batch normalization and a classifier, with a model inside."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1_conv")(image)
    inner = keras.Model(image, keras.layers.BatchNormalization(name="conv1_bn")(x), name="inside")
    x = keras.layers.GlobalAveragePooling2D()(inner(image))
    model = keras.Model(image, keras.layers.Dense(2, name="predictions")(x))
    for number, variable in enumerate(model.weights):
        variable.assign(np.arange(np.prod(variable.shape)).reshape(variable.shape) / 64 + number)
    return model


def save_old(model: keras.Model, path, root: str | None = None, suffix: str = ":0", pieces: bool = False) -> None:
    """The older `.h5`, as Keras 2 wrote it."""
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        names = [layer.name.encode() for layer in model.layers]
        group.attrs.update({"layer_names0": names[:2], "layer_names1": names[2:]} if pieces else {"layer_names": names})
        for layer in model.layers:
            own = group.create_group(layer.name)
            inner = getattr(layer, "layers", [layer])
            named = {f"{part.name}/{v.name}{suffix}": np.array(v) for part in inner for v in part.weights}
            own.attrs["weight_names"] = [name.encode() for name in named]
            for name, array in named.items():
                own[name] = array


WRITERS = {
    "a.weights.h5": lambda model, path: model.save_weights(path),
    "a.keras": lambda model, path: model.save(path),
    "a.h5": save_old,
    "b.h5": lambda model, path: save_old(model, path, root="model_weights"),
    "c.hdf5": lambda model, path: save_old(model, path, pieces=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_variable_is_found_by_layer_and_name(tmp_path, name):
    model = small()
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)  # an optimizer's state is nobody's weights
    WRITERS[name](model, tmp_path / name)
    found, wanted = read_state_dict(tmp_path / name), state_dict(model)
    assert len(wanted) == 8 and set(found) == set(wanted)
    for variable, array in wanted.items():
        np.testing.assert_array_equal(found[variable], array, err_msg=variable)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_older_file_that_keras_3_writes(tmp_path):
    model = small()
    model.save(tmp_path / "a.h5")
    found = read_state_dict(tmp_path / "a.h5")
    for variable, array in state_dict(model).items():
        np.testing.assert_array_equal(found[variable], array, err_msg=variable)


@pytest.mark.parametrize("options", [{}, {"shortcut": "B"}, {"remat": True}], ids=str)
def test_files_of_this_package_are_read_by_the_names_of_its_layers(tmp_path, options):
    network = keras_resnet.CifarResNet(8, input_shape=(8, 8, 3), **options)
    network.save_weights(tmp_path / "a.weights.h5")
    found, wanted = read_state_dict(tmp_path / "a.weights.h5"), state_dict(network)
    assert set(found) == set(wanted)
    for variable, array in wanted.items():
        np.testing.assert_array_equal(found[variable], array, err_msg=variable)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_precision_becomes_float32(tmp_path, dtype):
    layer = keras.layers.Dense(3, name="predictions", dtype=dtype)
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.kernel.assign(np.linspace(-1, 1, 6).reshape(2, 3))
    model.save_weights(tmp_path / "a.weights.h5")
    found = read_state_dict(tmp_path / "a.weights.h5")["predictions/kernel"]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32")))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_is_named(tmp_path, name, share):
    WRITERS[name](small(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=f"{tmp_path}/{name} is no file of Keras's weights, or damaged"):
        read_state_dict(tmp_path / name)


def archive(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, text in content.items():
            opened.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.h5", b"text" * 40),
        ("a.keras", archive({"a": b"1"})),
        ("a.keras", archive({"model.weights.h5": b"text" * 40})),
    ],
    ids=["text", "no weights", "no HDF5"],
)
def test_a_file_of_something_else_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{tmp_path}/{name} is no file of Keras's weights, or damaged"):
        read_state_dict(tmp_path / name)


def test_other_hdf5_files_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = [1.0]
    with pytest.raises(ValueError, match=f"{tmp_path}/a.h5 is no file of Keras's weights: it has no layer"):
        read_state_dict(tmp_path / "a.h5")


def test_text_is_no_weight(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = "import os"
    with pytest.raises(ValueError, match="vars/0 has no numbers"):
        read_state_dict(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("link", [h5py.ExternalLink("b.h5", "/x"), "external"], ids=["link", "data set"])
def test_nothing_is_read_from_another_file(tmp_path, link):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x/kernel"] = [1.0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
        if link == "external":
            place = [(str(tmp_path / "b.h5"), 0, 8)]
            file.create_group("dense").create_dataset("kernel", (1,), "f8", external=place)
        else:
            file["dense"] = link
        file["dense"].attrs["weight_names"] = ["kernel"]
    with pytest.raises(ValueError, match="kernel lies in another file"):
        read_state_dict(tmp_path / "a.h5")


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = small()
    model.get_layer("predictions").bias.assign([1.0, np.nan])
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="must be finite. predictions/bias is not"):
        read_state_dict(tmp_path / "a.weights.h5")
