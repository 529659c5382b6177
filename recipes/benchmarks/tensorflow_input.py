"""The input stage by stage as TensorFlow has it: by tf.data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from benchmarks.interleaved import Task
from keras_resnet.data import splits
from keras_resnet.data.encoded_splits import EncodedSplit
from keras_resnet.data.splits import Split
from keras_resnet.data.tensorflow import batches, order, pipelines
from keras_resnet.data.tensorflow.augmentation.encoded import CROPS, augment, cropped
from keras_resnet.data.tensorflow.sources import source
from keras_resnet.facts.augmentation import draws


def stages(split: EncodedSplit, augmentation: Sequence[str], batch: int, images: int) -> dict[str, Task]:
    """Tasks that do all to an image up to a stage, and drop the result but for a number or a few."""
    return {
        name: consumer(staged(split, stage, augmentation, batch, images), images)
        for name, stage in steps(split, augmentation).items()
    }


def whole(split: Split, augmentation: Sequence[str], batch: int, images: int, padding: int) -> Task:
    """Makes batches as training has them, in the memory of this process."""
    return consumer(pipeline(split, augmentation, batch, images, padding), images)


def steps(split: EncodedSplit, augmentation: Sequence[str]) -> dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """What is done to one image, each step with all before it, giving no more than a number or a few."""
    size, images = split.image_size, source(split)
    found = {"read": lambda index, draws: tf.strings.length(images.fetch(index))}
    if CROPS.keys() & set(augmentation):
        found["decode"] = lambda index, draws: images.map_image(
            lambda image: tf.shape(cropped(image, draws, augmentation, size)), index
        )
    found["augment"] = lambda index, draws: images.map_image(
        lambda image: augment(image, draws, augmentation, size)[0, 0], index
    )
    return found


def elements(split: Split, augmentation: Sequence[str], images: int) -> tf.data.Dataset:
    """What images are drawn by, in training's order; an end, so that nothing is prepared that nobody will count."""
    return order.stream(split.size, draws(augmentation), seed=0).take(images)


def staged(
    split: EncodedSplit, stage: Callable, augmentation: Sequence[str], batch: int, images: int
) -> tf.data.Dataset:
    """Batches of what a stage gives, made as those of the whole pipeline are."""
    # Left as it is: AutoGraph would lose what the functions of a stage refer to.
    stage = tf.autograph.experimental.do_not_convert(stage)
    drawn = elements(split, augmentation, images)
    results = drawn.map(stage, num_parallel_calls=2 * splits.PARALLEL_CALLS, deterministic=True)
    return results.batch(batch).prefetch(2).with_options(batches.options())


def pipeline(split: Split, augmentation: Sequence[str], batch: int, images: int, padding: int) -> tf.data.Dataset:
    """The pipeline as training has it."""
    drawn = elements(split, augmentation, images)
    made = pipelines.batches(split, drawn, batch, augmentation, padding=padding, drop_remainder=True)
    return made.prefetch(2).with_options(batches.options())


def consumer(dataset: tf.data.Dataset, images: int) -> Task:
    """Takes all images of a pipeline."""

    def run() -> int:
        for _ in dataset:
            pass
        return images

    return run
