"""What is compiled ahead of time is the engine's own step, with all that a training has. Run as a program, on JAX."""

from __future__ import annotations

import functools
import re

import keras
import numpy as np

from backend_process import run_on
from keras_resnet.data.splits import ArraySplit
from keras_resnet.optimization import losses
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.training.backend import TrainingImages

SHAPE = (8, 8, 3)


def test_on_jax():
    done = run_on("jax", __file__)
    assert done.returncode == 0, done.stderr


@functools.cache
def network() -> keras.Model:
    image = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Rescaling(1 / 128, offset=-1)(image))
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


@functools.cache
def lowered(**options) -> str:
    """The program of a training for the device that there is, in StableHLO."""
    import jax

    from keras_resnet.training.jax import mesh, precompile

    optimizer = SGD()
    optimizer.build(network().trainable_variables)
    devices = mesh.mesh_of(jax.devices()[:1])
    given = {"per_replica_batch_size": 8, "image_shape": SHAPE, **options}
    return precompile.lower_training(network(), optimizer, devices, **given).as_text()


def count(operation: str, **options) -> int:
    return len(re.findall(rf"stablehlo\.{operation}\b", lowered(**options)))


def arguments(**options) -> int:
    return re.search(r"@main\((.*?)\) ->", lowered(**options), re.S)[1].count("tensor<")


def check_everything_that_a_training_has_is_in_it() -> None:
    assert count("sqrt", global_clipnorm=1.0) == count("sqrt") + 1
    assert count("is_finite", scale_loss=True) == len(network().trainable_variables) > count("is_finite")
    assert arguments(scale_loss=True) == arguments() + 2
    assert arguments(ema_momentum=0.9) == arguments() + len(network().variables)
    assert count("convolution", accumulation=2) == 2 * count("convolution")
    assert arguments(accumulation=3) == arguments() + 2 * 2
    assert lowered(loss=functools.partial(losses.cross_entropy, smoothing=0.1)) != lowered()


def check_small_images_are_chosen_and_augmented_in_it() -> None:
    split = ArraySplit(np.broadcast_to(np.uint8(0), (1000, *SHAPE)), np.broadcast_to(np.int64(0), (1000,)))
    held = TrainingImages(split, ("pad-crop", "flip"), 1, 0)
    assert "tensor<1000x192xui8>" in lowered(held=held)
    assert count("gather", held=held) > count("gather")


if __name__ == "__main__":
    check_everything_that_a_training_has_is_in_it()
    check_small_images_are_chosen_and_augmented_in_it()
