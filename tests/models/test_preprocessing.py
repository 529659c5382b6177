"""What networks want to see, and what they say: the same as in `keras.applications`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils  # the public module lacks the index that it keeps

import keras_resnet
from keras_resnet.models import preprocessing
from keras_resnet.models.preprocessing import PREPROCESSING, decode_predictions, preprocess_input

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)


@pytest.mark.parametrize("convention", PREPROCESSING)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_convention_is_that_of_keras(convention, data_format):
    images = IMAGES if data_format == "channels_last" else IMAGES.transpose(0, 3, 1, 2)
    ours = np.array(preprocess_input(images, convention, data_format))
    theirs = imagenet_utils.preprocess_input(images.astype("float32"), mode=convention, data_format=data_format)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def in_tf_data(image, act):
    """What comes out of `tf.data` for an image whose channels are not known before."""
    import tensorflow as tf

    data = tf.io.encode_png(image).numpy()
    [result] = tf.data.Dataset.from_tensors(data).map(lambda data: act(tf.io.decode_png(data)))
    return result.numpy()


@pytest.mark.parametrize("convention", PREPROCESSING)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_channels_may_be_known_only_when_a_graph_runs(convention, data_format):
    import tensorflow as tf

    def prepared(image):
        image = image if data_format == "channels_last" else tf.transpose(image, (2, 0, 1))
        assert None in image.shape
        image = preprocess_input(image, convention, data_format)
        assert image.shape[-1 if data_format == "channels_last" else 0] == 3
        return image

    image = IMAGES[0] if data_format == "channels_last" else IMAGES[0].transpose(2, 0, 1)
    np.testing.assert_allclose(
        in_tf_data(IMAGES[0], prepared), preprocess_input(image, convention, data_format), rtol=1e-6
    )
    for channels in (IMAGES[0][..., :1], np.concatenate([IMAGES[0], IMAGES[0][..., :1]], -1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
            in_tf_data(channels, prepared)


def test_symbolic_images_may_have_unknown_channels():
    assert preprocess_input(keras.Input((None, None, None)), "caffe").shape == (None, None, None, 3)


def test_images_of_an_open_number_of_axes_are_refused_with_the_remedy():
    import tensorflow as tf

    def prepare(data):
        return preprocess_input(tf.io.decode_image(data), "caffe")

    with pytest.raises(ValueError, match="at least three axes.*call it with expand_animations=False"):
        tf.data.Dataset.from_tensors(b"").map(prepare)
    with pytest.raises(ValueError, match=r"at least three axes.*Received: shape \(4, 3\)"):
        preprocess_input(IMAGES[0, 0], "tf")


def test_a_network_knows_its_own():
    network = keras_resnet.CifarResNet(8)
    with pytest.raises(ValueError, match="'cifar_resnet8' has none: it was not given weights"):
        preprocess_input(IMAGES, network)
    network.preprocessing = "caffe"
    np.testing.assert_array_equal(preprocess_input(IMAGES, network), preprocess_input(IMAGES, "caffe"))
    first = keras_resnet.CifarResNet(8, data_format="channels_first")
    first.preprocessing = "tf"
    assert np.array(preprocess_input(IMAGES.transpose(0, 3, 1, 2), first)).shape == (2, 3, 5, 4)


def test_bad_images_and_conventions_are_refused():
    with pytest.raises(ValueError, match="`convention` must be one of torch, caffe, tf. Received: convention='keras'"):
        preprocess_input(IMAGES, "keras")
    with pytest.raises(
        ValueError, match=r"three channels on axis -1: red, green, blue. Received: shape \(2, 5, 4, 1\)"
    ):
        preprocess_input(IMAGES[..., :1], "tf")


def test_the_largest_scores_come_first():
    scores = np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5]])
    assert decode_predictions(scores, ("cat", "dog", "fish"), top=2) == [
        [(1, "dog", 0.6), (2, "fish", 0.3)],
        [(0, "cat", 0.5), (2, "fish", 0.5)],
    ]
    assert decode_predictions(scores)[0] == [(1, "1", 0.6), (2, "2", 0.3), (0, "0", 0.1)]


def test_class_names_come_with_the_network():
    network = keras_resnet.CifarResNet(8, classes=3)
    network.class_names = ("cat", "dog", "fish")
    assert decode_predictions(np.eye(3), network, top=1)[2] == [(2, "fish", 1.0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3),), r"\[batch, classes\].*Received: scores of shape \[3\]"),
        ((np.zeros((1, 3)), None, 0), "`top` be at least 1.*top=0"),
        ((np.zeros((1, 3)), ("cat", "dog")), "`class_names` must have 3 names, one for each class. Received: 2"),
    ],
)
def test_scores_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        decode_predictions(*arguments)


def test_names_of_imagenet_are_those_of_keras(monkeypatch):
    index = {str(number): [f"n{number:08d}", f"name {number}"] for number in range(1000)}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)
    scores = np.zeros((1, 1000))
    scores[0, 7] = 1.0
    assert decode_predictions(scores, "imagenet", top=1) == [[(7, "name 7", 1.0)]]


def test_names_that_cannot_be_downloaded_are_asked_for(monkeypatch):
    def offline(*arguments, **options):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", None)
    monkeypatch.setattr(imagenet_utils.file_utils, "get_file", offline)
    with pytest.raises(ConnectionError, match="cannot be downloaded .URL fetch failure.. Name the classes yourself"):
        preprocessing.imagenet_names()
