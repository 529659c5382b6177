"""Handwritten digits, to see everything work.

Command:   python recipes/train.py digits-resnet8
Hardware:  anything; half a minute to two minutes on two CPU cores
Expected:  below 3% error
"""

from __future__ import annotations

from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig

DIGITS_RESNET8 = Recipe(
    "digits-resnet8",
    "ResNet-8 on scikit-learn's 8x8 digits, which need no download: below 3% error in two minutes on 2 CPU cores",
    ModelConfig(family="cifar", depth=8, shortcut="A"),
    # No flips: a mirrored digit is another digit, or none.
    DataConfig("digits", augmentation=("pad-crop",), padding=1, normalization="per-channel"),
    schedule=ScheduleConfig(iterations=2000, boundaries=(1000, 1500)),
    training=TrainingConfig(global_batch_size=64, log_every=50, validate_every=200),
)

RECIPES = (DIGITS_RESNET8,)
