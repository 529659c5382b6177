"""Your own pictures.

Command:   python recipes/train.py folder-resnet18 --run.data-directory DIR
           DIR holds train/CLASS/* and validation/CLASS/*, or just CLASS/* with --data.holdout
Hardware:  a GPU for more than a few thousand pictures
Expected:  depends on the pictures; nothing was measured
Source:    Goyal et al., 2017: a learning rate of 0.1 for a batch of 256, hence an eighth of it for 32
"""

from __future__ import annotations

from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig

FOLDER_RESNET18 = Recipe(
    "folder-resnet18",
    "ResNet-18 on your own pictures: --run.data-directory DIR, with DIR/train/CLASS and DIR/validation/CLASS",
    ModelConfig(family="imagenet", depth=18, shortcut="B"),
    DataConfig("folder", augmentation=("random-resized-crop", "flip"), normalization="per-channel", image_size=224),
    schedule=ScheduleConfig("cosine", learning_rate=0.0125, iterations=10_000, boundaries=(), warmup_iterations=500),
    training=TrainingConfig(global_batch_size=32, validate_every=500),
)

RECIPES = (FOLDER_RESNET18,)
