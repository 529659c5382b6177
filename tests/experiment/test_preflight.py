"""From a recipe to what is compiled for a slice; what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import RECIPES
from keras_resnet.experiment import backends, preflight
from keras_resnet.facts import tpus
from keras_resnet.preflight import topologies
from keras_resnet.preflight.compilation import DoesNotFitError
from keras_resnet.preflight.program import Memory, Program
from keras_resnet.preflight.verdict import Flight

V5E = tpus.slice_of("v5e:2x2")
DIGITS, IMAGENET, FOLDER = (RECIPES[name] for name in ("digits-resnet8", "imagenet-resnet50", "folder-resnet18"))
PER_IMAGE = 100 * 2**20


@pytest.fixture
def flown(monkeypatch):
    """Pre-flights that compile nothing: memory grows by 100 MiB with each image of a device."""

    def training(steps, batch: int) -> Program:
        if batch * PER_IMAGE > 15.75 * 2**30:
            raise DoesNotFitError("temporaries (34.18G) exceeds available HBM (15.75G)")
        return Program(Memory(batch * PER_IMAGE, 0, 0, 0, 0), flops=1e9, bytes=1e9, cycles=10)

    monkeypatch.setattr(topologies, "require", lambda: None)
    monkeypatch.setattr(preflight.Steps, "training", training)
    monkeypatch.setattr(preflight.Steps, "evaluation", training)
    told: list[str] = []

    def fly(recipe, batch: int | None = None, **options) -> tuple[Flight, list[str]]:
        if batch:
            recipe = replace(recipe, training=replace(recipe.training, global_batch_size=batch))
        return preflight.preflight(recipe, V5E, tell=told.append, **options), told

    return fly


def test_there_is_an_engine_for_each_backend_that_trains():
    assert set(preflight.ENGINES) == set(backends.BACKENDS)


def test_the_images_of_a_recipe_are_known_without_reading_them():
    assert preflight.image_shape(DIGITS) == (8, 8, 1)
    assert preflight.image_shape(IMAGENET) == (224, 224, 3)
    assert preflight.class_count(IMAGENET, None) == 1000
    assert preflight.class_count(FOLDER, 7) == 7


def test_devices_hold_small_images_on_jax(monkeypatch):
    assert preflight.held_images(DIGITS) is None
    monkeypatch.setattr(preflight.keras.backend, "backend", lambda: "jax")
    apart = replace(DIGITS, data=replace(DIGITS.data, holdout=137))
    assert preflight.held_images(DIGITS).split.images.shape == (1437, 8, 8, 1)
    assert preflight.held_images(apart).split.images.nbytes == 1300 * 64
    assert preflight.held_images(IMAGENET) is None


def test_classes_must_be_known():
    with pytest.raises(ValueError, match="`classes` must be given with dataset='folder'"):
        preflight.class_count(FOLDER, None)
    with pytest.raises(ValueError, match="`classes` must be 10 with dataset='digits'. Received: classes=7"):
        preflight.class_count(DIGITS, 7)


def test_a_batch_that_fits_is_compiled_once(flown):
    flight, told = flown(DIGITS, 128)
    assert (flight.batch, flight.largest) == (32, None)
    assert [line for line in told if line.startswith("compiling the training")] == [
        "compiling the training of 32 images a device for v5e:2x2"
    ]


def test_the_largest_batch_is_searched(flown):
    flight, _ = flown(DIGITS, 128, search=True)
    assert flight.largest == 128


def test_a_batch_that_does_not_fit_is_refused_with_what_would(flown):
    with pytest.raises(ValueError, match="`global_batch_size` must fit") as refusal:
        flown(DIGITS, 2048)
    assert str(refusal.value) == (
        "`global_batch_size` must fit the memory of the devices. Received: global_batch_size=2048, 512 images on each "
        "of 4 devices of v5e:2x2; 128 fit. Choose `global_batch_size`=512, `accumulation`=4 at the same batch, a slice "
        "of 4 times the chips, or `remat`=True"
    )


def test_devices_must_divide_the_batch(flown):
    with pytest.raises(ValueError, match="`global_batch_size` must be a multiple of the 4 replicas"):
        flown(DIGITS, 30)


def test_the_baseline_is_that_of_the_depth_and_the_precision():
    recipe = replace(IMAGENET, training=replace(IMAGENET.training, precision="mixed_bfloat16"))
    steps = preflight.Steps(recipe, V5E, is_baseline=True)
    assert steps.network.count_params() == 25_636_712  # with the biases of its convolutions
    assert steps.network.output_shape == (None, 1000)
    assert steps.network.get_layer("conv2_block1_1_conv").compute_dtype == "bfloat16"


def test_float32_is_said_to_take_long(flown):
    _, told = flown(DIGITS, 128)
    assert told[0].startswith("products of float32 become six of bfloat16")
    fast = replace(DIGITS, training=replace(DIGITS.training, precision="mixed_bfloat16"))
    _, told = flown(fast, 128)
    assert not told[-1].startswith("products")


def test_what_compiles_must_be_installed(monkeypatch):
    monkeypatch.setattr(topologies.importlib.util, "find_spec", lambda name: None if name == "libtpu" else object())
    with pytest.raises(ModuleNotFoundError) as missing:
        preflight.preflight(DIGITS, V5E)
    assert missing.value.name == "libtpu"
