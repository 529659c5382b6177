"""ResNet-50 on ImageNet with batches of 256 to 8192.

Command:   python recipes/train.py imagenet-resnet50-goyal --run.data-directory DIR --run.strategy mirrored
           --training.precision mixed_bfloat16, or imagenet-resnet50-goyal-8k --run.strategy multi_worker (or tpu)
Hardware:  32 images for each GPU in the paper: 8 GPUs for a batch of 256, 256 GPUs for 8192. A device with more memory
           takes more; batch normalization takes its statistics over 32 images in any case
Expected:  the errors below, on the center crops of the validation images, the means of five runs: 23.60% +- 0.12 for
           256 and 23.74% +- 0.09 for 8192. The whole schedule has not been run with this package
Source:    Goyal et al., 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour": 90 epochs,
           learning rate 0.1 for each 256 images, divided by 10 after 30, 60 and 80; above 256 images five epochs of
           warm-up from 0.1; Nesterov's momentum; gamma 0 in the last batch normalization of a block; the stride in the
           3x3 convolution; crops of random area and aspect ratio

The classifier starts as the paper's of 2015 does; Goyal et al. drew it with a deviation of 0.01.
"""

from __future__ import annotations

from catalog.variants import variant
from keras_resnet.config.recipe import DataConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig, TrainingConfig
from keras_resnet.facts.datasets import DATASETS

IMAGES = DATASETS["imagenet"].train

ERRORS = {
    256: "23.60%",
    512: "23.48%",
    1024: "23.53%",
    2048: "23.49%",
    4096: "23.56%",
    8192: "23.74%",
}
"""Top-1 error on the center crop by batch size, the mean of five runs."""


def iterations(epochs: float, batch: int) -> int:
    """Iterations that visit every training image so many times."""
    return round(epochs * IMAGES / batch)


def schedule(batch: int) -> ScheduleConfig:
    """The reference's learning rates for a batch size."""
    return ScheduleConfig(
        "steps",
        learning_rate=0.1 * batch / 256,
        iterations=iterations(90, batch),
        boundaries=tuple(iterations(epochs, batch) for epochs in (30, 60, 80)),
        warmup_iterations=iterations(5, batch) if batch > 256 else 0,
        warmup_learning_rate=0.1 if batch > 256 else 0.0,
    )


def training(batch: int, normalization_batch_size: int = 32) -> TrainingConfig:
    """A validation every epoch."""
    return TrainingConfig(
        global_batch_size=batch,
        normalization_batch_size=normalization_batch_size,
        log_every=max(1, iterations(1, batch) // 50),
        validate_every=iterations(1, batch),
    )


def name(batch: int) -> str:
    """8192 is 8k, as in the reference."""
    return f"{batch // 1024}k" if batch >= 1024 else str(batch)


GOYAL = Recipe(
    "imagenet-resnet50-goyal",
    f"ResNet-50 on ImageNet, batch 256: {ERRORS[256]} error on the center crop (Goyal et al., 2017)",
    ModelConfig(family="imagenet", depth=50, shortcut="B", bottleneck_stride="3x3", zero_gamma=True),
    DataConfig("imagenet", augmentation=("random-resized-crop", "flip"), normalization="per-channel", image_size=224),
    OptimizerConfig(nesterov=True),
    schedule(256),
    training(256),
)

RECIPES = (
    GOYAL,
    *(
        variant(
            GOYAL,
            f"imagenet-resnet50-goyal-{name(batch)}",
            f"The same with a batch of {batch}: {error} error (Goyal et al., 2017)",
            schedule=vars(schedule(batch)),
            training=vars(training(batch)),
        )
        for batch, error in ERRORS.items()
        if batch > 256
    ),
)
