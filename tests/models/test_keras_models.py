"""Models of Keras that a person has built around the networks of keras.applications, as files and in memory."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
from keras.src.applications import resnet

import keras_resnet
from keras_models import SHAPE, applications, small_applications, stirred
from keras_resnet.facts.preprocessing import PREPROCESSING, Preprocessing
from keras_resnet.inference import trained_network
from keras_resnet.models import keras_models, weights_loading
from keras_resnet.models.preprocessing import preprocess_input
from small_depths import small_depths
from tiers import slow

small_depths = pytest.fixture(small_depths, scope="module", autouse=True)
CLASSES = 4
PHOTOGRAPHS = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
CUSTOM = {"mean": [120.0, 115.0, 100.0], "variance": [3600.0, 3500.0, 3600.0]}


def adapted() -> keras.layers.Normalization:
    """A normalization with the statistics of images, which are variables of its own."""
    layer = keras.layers.Normalization()
    layer.adapt(PHOTOGRAPHS)
    return layer


FRONTS = {
    "rescaling": (lambda: keras.layers.Rescaling(1 / 127.5, -1), "tf"),
    "resized": (
        lambda: keras.Sequential([keras.layers.Resizing(64, 64), keras.layers.Rescaling(1 / 127.5, -1)]),
        "tf",
    ),
    "tf": (lambda: partial(keras.applications.imagenet_utils.preprocess_input, mode="tf"), "tf"),
    "caffe": (lambda: keras.applications.resnet.preprocess_input, "caffe"),
    "torch": (lambda: partial(keras.applications.imagenet_utils.preprocess_input, mode="torch"), "torch"),
    "constants": (lambda: keras.layers.Normalization(**CUSTOM), None),
    "adapted": (adapted, None),
    "scaled": (lambda: keras.layers.Rescaling(1 / 255), None),
    "reversed": (lambda: lambda image: keras.layers.Rescaling(1 / 255)(image[..., ::-1]), None),
}
"""What a person puts in front, and the name of its convention, if it has one."""


FAST = ("rescaling", "caffe", "constants")


def model_of(front, nested: bool = True) -> keras.Model:
    """A model from photographs to scores."""
    start = keras.Input(SHAPE, name="photograph")
    seen = front(start)
    if not nested:
        return small_applications(weights=None, input_tensor=seen, classes=CLASSES, name="theirs")
    backbone = small_applications(weights=None, include_top=False, pooling="avg", input_shape=SHAPE, name="backbone")
    return keras.Model(start, keras.layers.Dense(CLASSES, name="predictions")(stirred(backbone)(seen)))


def assert_agree(logits, expected):
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.ptp(expected))


def logits_of(model):
    """Of the photographs, whatever the activation of the classifier."""
    top = model.get_layer("predictions")
    before = keras.Model(model.inputs[0], top.input)
    return np.array(before(PHOTOGRAPHS, training=False)) @ np.array(top.kernel) + np.array(top.bias)


@pytest.mark.parametrize("front", [*FAST, *slow([front for front in FRONTS if front not in FAST])])
def test_layers_in_front_say_how_images_are_normalized(front, tmp_path):
    """The images are normalized as the model does it, or by nobody who was not told."""
    build, name = FRONTS[front]
    theirs = model_of(build(), nested=front != "rescaling")
    expected = logits_of(theirs)
    found = weights_loading.find(theirs)
    assert found.metadata.preprocessing == name and "preprocessing" not in found.assumed
    ours = keras_resnet.ResNet(14, weights=theirs, classes=CLASSES, classifier_activation=None, input_shape=SHAPE)
    if name:
        assert_agree(ours(preprocess_input(PHOTOGRAPHS, ours)), expected)
    else:
        with pytest.raises(ValueError, match="has none"):
            preprocess_input(PHOTOGRAPHS, ours)
    theirs.save(tmp_path / "theirs.keras")
    used = trained_network.load(tmp_path / "theirs.keras").network
    resized = keras_resnet.ResNet(
        14, input_shape=SHAPE, classes=CLASSES, classifier_activation=None, pool_padding="symmetric"
    )
    weights_loading.assign(resized, weights_loading.weights_of(used).arrays)
    mean, deviation = np.array(used.layers[1].mean), np.sqrt(np.array(used.layers[1].variance))
    assert_agree(resized((PHOTOGRAPHS - mean) / deviation), expected)
    with pytest.raises(ValueError, match="`preprocessing` must be None"):
        trained_network.load(tmp_path / "theirs.keras", "torch" if name != "torch" else "tf")


UNREADABLE = {
    "mixed": lambda image: keras.layers.Conv2D(3, 1, kernel_initializer="orthogonal")(image),
    "not linear": lambda image: keras.ops.sqrt(image + 1.0),
    "of each pixel": lambda image: image - np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE),
}


@pytest.mark.parametrize("front", UNREADABLE)
def test_layers_in_front_that_cannot_be_read_leave_it_unknown(front):
    theirs = model_of(UNREADABLE[front])
    [first] = [each for each in weights_loading.inner_layers(theirs) if each.name == "conv1_conv"]
    with pytest.raises(ValueError, match="the layers in front of the first convolution"):
        keras_models.normalization_in_front(theirs, first)
    if front != "mixed":  # whose convolution has weights without a place
        found = weights_loading.find(theirs)
        assert found.preprocessing is None
        assert found.stated("theirs", preprocessing="tf").metadata.preprocessing == "tf"


def test_without_layers_in_front_the_habit_of_the_package_is_assumed(tmp_path):
    theirs = applications(14)
    theirs.save(tmp_path / "theirs.keras")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    for source in (theirs, tmp_path / "theirs.keras", tmp_path / "theirs.weights.h5"):
        found = weights_loading.find(source)
        assert found.metadata.preprocessing == "caffe" and "preprocessing" in found.assumed


def test_a_file_of_weights_with_layers_in_front_does_not_say_what_they_do(tmp_path):
    model_of(keras.layers.Rescaling(1 / 127.5, -1)).save_weights(tmp_path / "theirs.weights.h5")
    with pytest.raises(ValueError, match="does not say what its network wants to see. `preprocessing` must be one of"):
        trained_network.load(tmp_path / "theirs.weights.h5")
    assert trained_network.load(tmp_path / "theirs.weights.h5", "tf").network.name == "resnet14"


def test_every_kind_of_file_of_a_model_is_a_trained_network(tmp_path):
    theirs = applications(14)
    theirs.save_weights(tmp_path / "a.weights.h5")
    theirs.save(tmp_path / "a.keras")
    theirs.save(tmp_path / "a.h5")
    networks = [trained_network.load(tmp_path / name).network for name in ("a.weights.h5", "a.keras", "a.h5")]
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    logits = [np.array(network(images)) for network in networks]
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], logits[2])


def strided(stride1: int, stride3: int, dilation: int = 1):
    """keras.applications' network with the strides of its stages elsewhere."""

    def block(x, filters, stride, name, first):
        a, b = (stride1, stride3) if stride > 1 else (1, 1)
        shortcut = x
        if first:
            shortcut = keras.layers.Conv2D(4 * filters, 1, stride if a * b > 1 else 1, name=f"{name}_0_conv")(x)
            shortcut = keras.layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_0_bn")(shortcut)
        for number, (kernel, step, count) in enumerate(((1, a, filters), (3, b, filters), (1, 1, 4 * filters)), 1):
            rate = dilation if kernel == 3 and stride > 1 else 1
            conv = keras.layers.Conv2D(
                count, kernel, step, "same" if step == 1 else "valid", dilation_rate=rate, name=f"{name}_{number}_conv"
            )
            padded = keras.layers.ZeroPadding2D(1)(x) if kernel == 3 and step > 1 else x
            x = keras.layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_{number}_bn")(conv(padded))
            x = keras.layers.Activation("relu")(x) if number < 3 else x
        return keras.layers.Activation("relu")(keras.layers.Add()([shortcut, x]))

    def stages(x):
        for stage in range(4):
            x = block(x, 64 << stage, 1 + (stage > 0), f"conv{stage + 2}_block1", True)
        return x

    return stirred(
        resnet.ResNet(stages, False, True, weights=None, input_shape=SHAPE, classes=7, classifier_activation=None)
    )


def test_the_graph_says_where_the_stride_is():
    theirs = strided(1, 2)
    found = weights_loading.find(theirs)
    assert found.metadata.spec.bottleneck_stride == "3x3" and found.metadata.spec.pool_padding == "symmetric"
    ours = keras_resnet.ResNet(14, weights=theirs, classes=7, classifier_activation=None, input_shape=SHAPE)
    images = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    assert_agree(ours(images), np.array(theirs(images)))
    with pytest.raises(ValueError, match="`bottleneck_stride` must be '3x3', as in the network that these weights are"):
        keras_resnet.ResNet(14, weights=theirs, classes=7, bottleneck_stride="1x1")


def test_the_graph_says_that_a_network_is_dilated(tmp_path):
    theirs = strided(1, 1, dilation=2)
    theirs.save(tmp_path / "a.keras")
    for source in (theirs, tmp_path / "a.keras"):
        with pytest.raises(ValueError, match=r"with the stride 2 in conv3_block1. .* 1 and 1, with dilation"):
            weights_loading.find(source)


def test_a_convention_is_known_by_its_numbers():
    for name, row in PREPROCESSING.items():
        rounded = Preprocessing(tuple(round(m, 2) for m in row.mean), row.deviation, row.reverses)
        assert rounded.equals(row) and not row.equals(Preprocessing(row.mean, row.deviation, not row.reverses)), name
