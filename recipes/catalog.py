"""The recipes, each as its difference from another.

    python recipes/train.py digits-resnet8
    python recipes/train.py cifar10-resnet20 --run.data-directory DIR --training.precision mixed_bfloat16

Reference: He et al., 2015, Section 4.2 and Table 6, for CIFAR-10: test errors of networks trained with these recipes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_resnet.config import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig


def variant(base: Recipe, name: str, description: str, **changes: dict[str, Any]) -> Recipe:
    """A recipe that differs from another in some fields of some sections: `model={"depth": 32}`."""
    sections = {section: replace(getattr(base, section), **fields) for section, fields in changes.items()}
    return replace(base, name=name, description=description, **sections)


DIGITS_RESNET8 = Recipe(
    "digits-resnet8",
    "ResNet-8 on scikit-learn's 8x8 digits, which need no download: below 3% error in two minutes on 2 CPU cores",
    ModelConfig(family="cifar", depth=8, shortcut="A"),
    # No flips: a mirrored digit is another digit, or none.
    DataConfig("digits", augmentation="crop", padding=1, normalization="per-channel"),
    schedule=ScheduleConfig(iterations=2000, boundaries=(1000, 1500)),
    training=TrainingConfig(global_batch_size=64, log_every=50, validate_every=200),
)

# Section 4.2 of the paper: batch 128, learning rate 0.1, divided by 10 at 32k and 48k iterations, stopped at 64k;
# weight decay 1e-4, momentum 0.9; crops after padding 4, flips, the mean image subtracted; option A everywhere.
CIFAR10_RESNET20 = Recipe(
    "cifar10-resnet20",
    "ResNet-20 on CIFAR-10: 8.75% error (Table 6)",
    ModelConfig(family="cifar", depth=20, shortcut="A"),
    DataConfig("cifar10", augmentation="crop-flip", padding=4, normalization="per-pixel-mean"),
    schedule=ScheduleConfig("steps", learning_rate=0.1, iterations=64_000, boundaries=(32_000, 48_000)),
    training=TrainingConfig(global_batch_size=128),
)

# ResNet-110 does not start well with 0.1: it trains with 0.01 until its training error is below 80%, after about 400
# iterations, and ResNet-1202 is trained as it is.
ERROR_GATE = {"name": "error-gate", "gate_learning_rate": 0.01, "gate_error": 80.0}

CIFAR10_ERRORS = {
    32: "7.51% error",
    44: "7.17% error",
    56: "6.97% error",
    110: "6.61% error in the mean of five runs, 6.43% in the best",
    1202: "7.93% error",
}
"""Table 6, by depth."""

CIFAR10 = [
    CIFAR10_RESNET20,
    *(
        variant(
            CIFAR10_RESNET20,
            f"cifar10-resnet{depth}",
            f"ResNet-{depth} on CIFAR-10: {error} (Table 6)",
            model={"depth": depth},
            schedule=ERROR_GATE if depth >= 110 else {},
        )
        for depth, error in CIFAR10_ERRORS.items()
    ),
]

CIFAR10_PLAIN = [
    variant(
        CIFAR10_RESNET20,
        f"cifar10-plain{depth}",
        f"Plain network of {depth} layers on CIFAR-10: {expected} (Figure 6, left)",
        model={"depth": depth, "shortcut": None},
    )
    for depth, expected in {
        20: "about 9% error",
        32: "above plain-20's error",
        44: "above plain-32's error",
        56: "about 13% error",
        110: "above 60% error: too deep without shortcuts",
    }.items()
]

CIFAR100 = [
    variant(
        recipe,
        recipe.name.replace("cifar10-", "cifar100-"),
        f"ResNet-{recipe.model.depth} on CIFAR-100 with the recipe for CIFAR-10; the paper has no figure",
        data={"dataset": "cifar100"},
    )
    for recipe in CIFAR10
    if recipe.model.depth <= 110
]

FOLDER_RESNET18 = Recipe(
    "folder-resnet18",
    "ResNet-18 on your own pictures: --run.data-directory DIR, with DIR/train/CLASS and DIR/validation/CLASS",
    ModelConfig(family="imagenet", depth=18, shortcut="B"),
    DataConfig("folder", augmentation="crop-flip", normalization="per-channel", image_size=224),
    # 0.1 for a batch of 256, hence an eighth of it for 32 (Goyal et al., 2017).
    schedule=ScheduleConfig("cosine", learning_rate=0.0125, iterations=10_000, boundaries=(), warmup_iterations=500),
    training=TrainingConfig(global_batch_size=32, validate_every=500),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (DIGITS_RESNET8, *CIFAR10, *CIFAR10_PLAIN, *CIFAR100, FOLDER_RESNET18)
}
"""Every recipe by its name."""
