"""Scores of a split: every image once, whatever the batches, the view and the number of networks."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.splits import ArraySplit
from keras_resnet.data.tensorflow import batches, test_crops
from keras_resnet.data.tensorflow.encoded_images import DecodedImage
from keras_resnet.evaluation import scoring
from keras_resnet.evaluation.scoring import Scored, score
from keras_resnet.evaluation.test_views import VIEWS
from keras_resnet.training.tensorflow import strategies
from keras_resnet.training.tensorflow.evaluator import evaluator
from stand_ins import EncodedInMemory
from tiers import slow

SIZE = 32
ALL_VIEWS = {
    "center": {"batch_size": 3},
    "10-crop": {"batch_size": 3},
    "multi-scale": {"shorter_sides": (32, 48), "mirror": True},
}


@functools.cache
def make_simple(seed: int = 0, classes: int = 12) -> keras.Model:
    """A network of one size, quickly traced, with a normalization of its own."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 5, 4, activation="relu")(keras.layers.Rescaling(0.01 + 0.01 * seed, -seed)(image))
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(x)))


def scored(networks, split, name: str, **options) -> Scored:
    view = VIEWS[name](split, **(options or ALL_VIEWS[name]))
    return score([view.prepare(network) for network in networks], view.batches, split.size)


def softmax(logits) -> np.ndarray:
    exponentials = np.exp(np.asarray(logits, np.float64))
    return exponentials / exponentials.sum(-1, keepdims=True)


def agree(measured: Scored, scores: np.ndarray, labels: np.ndarray) -> None:
    """Compares with scores that were averaged by hand."""
    images = np.arange(len(labels))
    order = np.argsort(-scores, axis=-1)
    np.testing.assert_array_equal(measured.labels, labels)
    np.testing.assert_array_equal(measured.classes, order[:, :5])
    np.testing.assert_allclose(measured.scores, np.take_along_axis(scores, order[:, :5], -1), rtol=1e-4)
    np.testing.assert_allclose(measured.losses, -np.log(scores[images, labels]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(measured.wrong[1], order[:, 0] != labels)
    np.testing.assert_array_equal(
        measured.wrong[5], [label not in row[:5] for label, row in zip(labels, order, strict=True)]
    )


@pytest.fixture
def array_split() -> ArraySplit:
    noise = np.random.default_rng(0)
    coarse = noise.integers(0, 256, (11, 4, 4, 3), np.uint8)
    return ArraySplit(np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8)), noise.integers(0, 12, 11))


@pytest.mark.parametrize("batch_size", [4, *slow([1, 11, 20])])
def test_the_center_is_what_a_training_measures(array_split, batch_size):
    network = make_simple()
    measured = scored([network], array_split, "center", batch_size=batch_size)
    evaluate = evaluator(network, strategies.one_device())
    expected = evaluate(batches.evaluation_batches(array_split, batch_size=4), 11)
    assert vars(measured.errors) == pytest.approx(vars(expected), rel=1e-5)
    agree(measured, softmax(network(array_split.images)), array_split.labels)


def test_the_center_of_encoded_images_is_what_a_training_measures(split):
    network = make_simple()
    expected = evaluator(network, strategies.one_device())(batches.evaluation_batches(split, batch_size=4), 7)
    assert vars(scored([network], split, "center").errors) == pytest.approx(vars(expected), rel=1e-5)


@pytest.mark.parametrize("batch_size", [4, *slow([1, 7, 9])])
def test_ten_crops_average_scores(split, photographs, batch_size):
    network = make_simple()
    crops = [test_crops.ten_crops(DecodedImage(tf.constant(image)), SIZE) for image in photographs]
    scores = np.stack([softmax(network(each)).mean(0) for each in crops])
    agree(scored([network], split, "10-crop", batch_size=batch_size), scores, split.labels)


def test_one_scale_of_a_square_image_is_the_network_s_own(make_network, split, photographs):
    """A square as small as the images in training has one position."""
    network = make_network()
    squares = EncodedInMemory(tuple(split.encoded[index] for index in (2, 4)), np.array([3, 1]), SIZE)
    whole = tf.stack([test_crops.resized(tf.constant(photographs[index]), SIZE) for index in (2, 4)])
    agree(scored([network], squares, "multi-scale", shorter_sides=[SIZE]), softmax(network(whole)), squares.labels)


@pytest.mark.slow
def test_several_scales_count_alike_however_many_positions_they_have(make_network, split, photographs):
    network = make_network()
    view = VIEWS["multi-scale"](split, shorter_sides=(32, 48))
    free = view.prepare(network)
    scores = []
    for image in photographs:
        of_scales = [softmax(free(test_crops.resized(tf.constant(image), side)[None])) for side in (32, 48)]
        scores.append(np.mean([each.mean((0, 1, 2)) for each in of_scales], axis=0))
    agree(scored([network], split, "multi-scale", shorter_sides=(32, 48)), np.array(scores), split.labels)


def test_with_mirror_images_an_image_and_its_mirror_image_score_alike(make_network, photographs):
    network = make_network()

    def both_ways(**options) -> float:
        """The largest difference between the losses of the two."""
        image = photographs[0]
        encoded = tuple(tf.io.encode_png(each).numpy() for each in (image, image[:, ::-1]))
        pair = EncodedInMemory(encoded, np.array([4, 4]), SIZE)
        return float(np.ptp(scored([network], pair, "multi-scale", shorter_sides=[SIZE], **options).losses))

    assert both_ways(mirror=True) < 0.1 * both_ways()


@keras.saving.register_keras_serializable(package="tests")
class Always(keras.layers.Layer):
    """The same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def call(self, images):
        return tf.tile(tf.constant([self.logits], "float32"), [tf.shape(images)[0], 1])


@pytest.mark.parametrize("name", ["center", "10-crop"])
def test_a_network_that_ignores_its_input_keeps_its_scores(split, name):
    logits = np.linspace(-3, 40, 12)[
        [3, 1, 2, 0, *range(4, 12)]
    ]  # from a score of 1 to one that float32 cannot hold well
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    network = keras.Model(image, Always(logits.tolist())(image))
    agree(scored([network], split, name), np.tile(softmax(logits), (7, 1)), split.labels)


@pytest.mark.parametrize("name", ["center", *slow(name for name in VIEWS if name != "center")])
def test_a_network_together_with_itself_is_that_network(make_network, split, name):
    network = make_network() if name == "multi-scale" else make_simple()
    alone, together = (scored([network] * number, split, name) for number in (1, 3))
    for field in ("labels", "wrong", "classes"):
        np.testing.assert_equal(getattr(together, field), getattr(alone, field))
    np.testing.assert_allclose(together.losses, alone.losses, rtol=1e-5)
    np.testing.assert_allclose(together.scores, alone.scores, rtol=1e-5)


def test_networks_together_have_the_mean_of_their_scores(array_split):
    """Each with its own normalization."""
    networks = [make_simple(1), make_simple(2)]
    scores = np.mean([softmax(network(array_split.images)) for network in networks], axis=0)
    agree(scored(networks, array_split, "center"), scores, array_split.labels)


@pytest.mark.parametrize(("classes", "kept"), [(3, 3), (5, 5), (6, 5)])
def test_of_five_classes_there_is_no_top_5_error(array_split, classes, kept):
    few = ArraySplit(array_split.images, array_split.labels % classes)
    measured = scored([make_simple(classes=classes)], few, "center")
    assert measured.classes.shape == measured.scores.shape == (11, kept)
    assert (measured.errors.top5_error is None) == ("top5" not in measured.intervals) == (classes <= 5)


@pytest.mark.parametrize(("name", "images"), [("center", 6), ("10-crop", 8), *slow([("center", 8), ("10-crop", 6)])])
def test_a_wrong_count_is_an_error(split, name, images):
    view = VIEWS[name](split, **ALL_VIEWS[name])
    with pytest.raises(RuntimeError, match=f"7 images were evaluated, but the split has {images}"):
        score([make_simple()], view.batches, images)


def test_images_of_different_shapes_share_a_graph(make_network, split, monkeypatch):
    view = VIEWS["multi-scale"](split, shorter_sides=(32, 48))
    model = view.prepare(make_network())
    traced = {"network": 0, "scores": 0}

    def counting(name, function):
        def call(*arguments, **options):
            traced[name] += 1
            return function(*arguments, **options)

        return call

    model.call = counting("network", model.call)
    monkeypatch.setattr(scoring, "log_scores", counting("scores", scoring.log_scores))
    score([model], view.batches, split.size)
    assert traced == {"network": 1, "scores": 1}


def test_progress_is_told_after_every_batch_without_what_fills_up(split):
    view, told = VIEWS["10-crop"](split, batch_size=3), []
    score([make_simple()], view.batches, split.size, told.append)
    assert told == [3, 6, 7]


def test_intervals_are_those_of_the_images_that_are_wrong():
    wrong = {1: np.arange(10) < 5, 5: np.arange(10) < 1}
    measured = Scored(np.zeros(10, np.int32), np.ones(10, np.float32), wrong, np.zeros((10, 5)), np.zeros((10, 5)))
    assert measured.intervals["top1"] == pytest.approx((23.66, 76.34), abs=0.005)
    assert measured.intervals["top5"] == pytest.approx((1.79, 40.42), abs=0.005)
    assert vars(measured.errors) == {"images": 10, "loss": 1.0, "top1_error": 50.0, "top5_error": 10.0}
