"""What is exported computes what the network computes, in every format's own runtime."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

from keras_resnet import CifarResNet, ResidualNetwork
from keras_resnet.experiment import build as experiment_build
from keras_resnet.export import comparison, formats, preparation, runtimes, writers
from keras_resnet.export.formats import FORMATS
from keras_resnet.models import input_normalization
from keras_resnet.models.layers import Rematerialized
from keras_resnet.models.residual_network import inner_layers
from older_networks import as_in_0_2
from tiers import slow

MEAN, DEVIATION = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
WITHOUT_MORE = ("saved-model", "litert")
"""Formats that TensorFlow writes and runs alone."""


def build(policy="float32", size=8, mean=MEAN, builder=CifarResNet, **options) -> ResidualNetwork:
    """As a training leaves it, with statistics that do something."""
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    mean, deviation = (np.array(value, "float32").reshape(-1, 1, 3) for value in (mean, DEVIATION))
    with experiment_build.dtype_policy(policy):
        normalized = input_normalization.layer(mean if len(mean) == 1 else mean.reshape(size, size, 3), deviation)(
            image
        )
        network = builder(8, input_tensor=normalized, classifier_activation=None, **options)
    numbers = np.random.default_rng(1)
    for variable in network.variables:
        if variable.name in ("moving_variance", "moving_mean"):
            variable.assign(numbers.uniform(0.5, 1.5, variable.shape))
    return network


@pytest.fixture(scope="module")
def network():
    """Of everything that an exporter may stumble over."""
    return preparation.in_float32(build("mixed_bfloat16", shortcut="B", remat=True))


def difference(network, other, images, given=None) -> float:
    expected, found = (runtimes.run_keras(model) for model in (network, other))
    return comparison.compare(expected(images), found(images if given is None else given)).difference


OLDER = {"builder": as_in_0_2, "shortcut": "B", "remat": True}


@pytest.mark.parametrize("options", [{"shortcut": "B", "remat": True}, OLDER, {"preactivation": True}, *slow([{}])])
def test_a_network_of_float32_stays_the_same(options):
    network = build(**options)
    copy = preparation.in_float32(network)
    assert difference(network, copy, comparison.pictures(network, 4)) < 1e-5
    assert not copy.remat and not any(isinstance(layer, Rematerialized) for layer in inner_layers(copy))


def test_a_network_of_mixed_precision_is_exported_in_float32():
    network = build("mixed_bfloat16", shortcut="B", remat=True)
    copy = preparation.in_float32(network)
    assert {layer.compute_dtype for layer in inner_layers(copy) if layer.weights} == {"float32"}
    assert network.get_layer("conv2_block1_1_conv").compute_dtype == "bfloat16"
    exact = build(shortcut="B", remat=True)
    exact.set_weights(network.get_weights())
    assert difference(exact, copy, comparison.pictures(exact, 4)) < 1e-5


@pytest.mark.parametrize("remat", [True, *slow([False])])
def test_a_network_takes_images_of_another_size(remat):
    network, larger = build(shortcut="B", remat=remat), build(size=20, shortcut="B", remat=remat)
    larger.set_weights(network.get_weights())
    copy = preparation.in_float32(network, 20)
    assert copy.image_shape == (20, 20, 3)
    assert difference(larger, copy, comparison.pictures(larger, 4)) < 1e-5


def test_folding_leaves_no_normalization_and_the_outputs(network):
    folded = preparation.exportable(network, fold=True)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in inner_layers(folded))
    assert difference(network, folded, comparison.pictures(network, 4)) < 1e-5


def test_on_torch_it_is_folded_unless_it_must_not_be(network, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    for fold, kept in ((None, False), (False, True)):
        layers = inner_layers(preparation.exportable(network, fold=fold))
        assert any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers) is kept


OF_EACH_PIXEL = np.random.default_rng(0).uniform(90, 150, (8, 8, 3))


@pytest.mark.parametrize(
    ("mean", "inside"), [(MEAN, True), (OF_EACH_PIXEL, False), *slow([(MEAN, False), (OF_EACH_PIXEL, True)])]
)
def test_images_are_normalized_inside_or_outside(mean, inside):
    network = build(mean=mean)
    exported = preparation.exportable(network, preprocessing=inside)
    images = comparison.pictures(network, 4)
    subtracted, divisor = preparation.normalization(network)
    given = images if inside else ((images - subtracted) / divisor).astype("float32")
    assert [(image.name, image.dtype) for image in exported.inputs] == [("image", str(given.dtype))]
    assert difference(network, exported, images, given) < 1e-5


def test_the_scores_are_the_softmax(network):
    images = comparison.pictures(network, 4)
    logits = runtimes.run_keras(network)(images)
    scores = runtimes.run_keras(preparation.exportable(network, scores=True))(images)
    np.testing.assert_allclose(scores, comparison.softmax(logits), rtol=1e-4)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "size", "wrong"),
    [
        (build, 3, "`image_size` must be at least 4 in this network. Received: image_size=3"),
        (lambda: build(size=None), None, "`image_size` must be given for a network that takes images of any size"),
        (
            lambda: build(mean=np.full((8, 8, 3), 9.0)),
            16,
            "`image_size` must be 8 in this network, whose normalization",
        ),
        (
            lambda: CifarResNet(8, data_format="channels_first", input_shape=(3, 8, 8)),
            None,
            "`network` must have the channels last",
        ),
    ],
)
def test_a_network_that_cannot_be_exported_is_refused(make, size, wrong):
    with pytest.raises(ValueError, match=wrong):
        preparation.in_float32(make(), size)


def test_every_format_is_written_and_run():
    assert FORMATS.keys() == writers.WRITERS.keys() == runtimes.RUNTIMES.keys()
    assert all(not FORMATS[name].packages for name in WITHOUT_MORE)


def exported(network, name: str, folder, batch_size: int | None):
    """Writes a folded network in a format; returns what runs the file."""
    if missing := FORMATS[name].missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    path = folder / f"network{FORMATS[name].suffix}"
    writers.write(preparation.exportable(network, fold=True), name, path, batch_size)
    assert all(file.exists() for file in FORMATS[name].files(path))
    return runtimes.RUNTIMES[name](path, 2)


@pytest.mark.parametrize("name", [*WITHOUT_MORE, "onnx", *slow(["openvino", "torch"])])
def test_a_file_does_what_the_network_does_for_any_number_of_images(network, tmp_path, name):
    run = exported(network, name, tmp_path, None)
    images = comparison.pictures(network, 5)
    expected = runtimes.run_keras(network)(images)
    for number in (5, 1, 3):
        found = comparison.compare(expected[:number], run(images[:number]))
        assert found.agrees and found.same_top_1 == number


def test_a_runtime_writes_into_nothing_that_it_gave_or_was_given(network, tmp_path):
    run, images = exported(network, "litert", tmp_path, None), comparison.pictures(network, 4)
    first = images[:2].copy()
    outputs = run(first)
    kept = outputs.copy()
    run(images[2:])
    np.testing.assert_array_equal(outputs, kept)
    np.testing.assert_array_equal(first, images[:2])


@pytest.mark.slow
def test_openvino_works_on_copies_of_the_images(network, tmp_path, monkeypatch):
    openvino = pytest.importorskip("openvino")
    call, made = openvino.CompiledModel.__call__, []
    monkeypatch.setattr(
        openvino.CompiledModel, "__call__", lambda model, *given, **o: made.append(model) or call(model, *given, **o)
    )
    run, images = exported(network, "openvino", tmp_path, None), comparison.pictures(network, 4)
    first = images[:2].copy()
    run(first)
    # What follows in the memory that OpenVINO has kept would change the images of the caller.
    call(made[0], images[2:], share_inputs=False)
    np.testing.assert_array_equal(first, images[:2])


@pytest.mark.parametrize("name", ["litert", *slow(["saved-model", "onnx", "torch"])])
def test_a_file_may_be_for_batches_of_one_size(network, tmp_path, name):
    run = exported(network, name, tmp_path, 2)
    images = comparison.pictures(network, 3)
    assert comparison.compare(runtimes.run_keras(network)(images[:2]), run(images[:2])).agrees
    with pytest.raises(Exception, match=r"(?i)shape|dimension|size|argument|mismatch"):  # each runtime has its own
        run(images)


@pytest.mark.parametrize(
    ("backend", "name", "reason"),
    [
        ("jax", "onnx", "Keras needs jax2onnx for it"),
        ("jax", "openvino", "OpenVINO does not read what Keras makes of a network of JAX"),
        ("jax", "litert", "Keras writes it with TensorFlow"),
        ("torch", "litert", "Keras needs litert-torch for it"),
        ("torch", "saved-model", "its exporter makes no TensorFlow of a network of torch"),
    ],
)
def test_what_a_backend_cannot_write_is_refused_with_the_reason(tmp_path, monkeypatch, backend, name, reason):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(ValueError, match=f"with the backend {backend}. Received: name='{name}': {reason}. Export the"):
        writers.write(None, name, tmp_path / "file")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tflite", "litert"),
        ("TFLite", "litert"),
        ("saved_model", "saved-model"),
        ("pb", "saved-model"),
        ("tensorflow", "saved-model"),
        ("pt", "torch"),
        (".pt2", "torch"),
        ("torchscript", "torch"),
        ("OpenVINO", "openvino"),
        ("ir", "openvino"),
        ("onx", "onnx"),
    ],
)
def test_a_format_that_is_called_otherwise_is_named(word, meant):
    with pytest.raises(
        ValueError, match=f"^`format` must be one of .* Received: format='{word}'. Did you mean '{meant}'"
    ):
        formats.check(word)


def test_a_format_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'openvino', 'torch'. Received: format='coreml'$"):
        formats.check("coreml")


def test_a_quantized_network_is_exported_with_the_floats_that_it_computes_with():
    network = build()
    images = np.random.default_rng(0).integers(0, 256, (4, *network.image_shape), np.uint8)
    with warnings.catch_warnings(action="ignore"):  # Keras names every layer that it does not quantize
        network.quantize("int8")
    logits, floats = (np.array(some(images, training=False)) for some in (network, preparation.in_float32(network)))
    assert np.abs(logits - floats).max() < 0.02 * np.ptp(logits)  # of the features, which int8 rounds at each call


def test_an_exporter_that_fails_is_named(network, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyError("no such operation\nand a stack")

    monkeypatch.setitem(writers.WRITERS, "litert", fail)
    with pytest.raises(RuntimeError, match=r"cannot be exported to litert \(KeyError: .no such operation"):
        writers.write(network, "litert", tmp_path / "network.tflite")


OUTPUTS = np.array([[0.0, 10.0, 5.0], [1.0, 2.0, 3.0]], "float32")


@pytest.mark.parametrize(
    ("others", "difference", "agrees", "same"),
    [
        (OUTPUTS, 0.0, True, 2),
        (OUTPUTS + 0.0009, 9e-5, True, 2),
        (OUTPUTS + 0.0011, 1.1e-4, False, 2),
        (OUTPUTS[:, ::-1], 0.5, False, 1),
        (OUTPUTS * np.nan, np.nan, False, 0),
    ],
)
def test_the_difference_is_a_share_of_the_range(others, difference, agrees, same):
    found = comparison.compare(OUTPUTS, others)
    assert found.difference == pytest.approx(difference, rel=1e-2, nan_ok=True)
    assert found.agrees is agrees
    assert np.isnan(difference) or found.same_top_1 == same


def test_outputs_without_a_range_agree_only_if_they_are_equal():
    assert comparison.compare(np.ones((2, 1)), np.ones((2, 1))).agrees
    assert not comparison.compare(np.ones((2, 1)), np.full((2, 1), 1.00001)).agrees


def test_outputs_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"`others` must have the shape of `outputs`, \(2, 3\). Received: \(2, 1\)"):
        comparison.compare(OUTPUTS, OUTPUTS[:, :1])


def test_the_pictures_are_the_same_each_time_and_different_from_each_other(network):
    images = comparison.pictures(network, 5)
    np.testing.assert_array_equal(images, comparison.pictures(network, 5))
    assert images.dtype == "uint8" and images.shape == (5, 8, 8, 3)
    assert len({image.tobytes() for image in images}) == 5
    assert len(np.unique(images[0].reshape(-1, 3), axis=0)) == 16
