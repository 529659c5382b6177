"""CIFAR-10 and CIFAR-100 as in Section 4.2 of the paper.

Command:   python recipes/train.py cifar10-resnet20 --run.data-directory DIR --training.precision mixed_bfloat16
Hardware:  anything; ResNet-20 takes an hour and a half on two CPU cores with AMX
Expected:  the test errors of Table 6 and, for the plain networks, of Figure 6
Source:    He et al., 2015, Section 4.2: batch 128, learning rate 0.1, divided by 10 at 32k and 48k iterations, stopped
           at 64k; weight decay 1e-4, momentum 0.9; crops after padding 4, flips, the mean image subtracted; option A
"""

from __future__ import annotations

from catalog.variants import variant
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig

CIFAR10_RESNET20 = Recipe(
    "cifar10-resnet20",
    "ResNet-20 on CIFAR-10: 8.75% error (Table 6)",
    ModelConfig(family="cifar", depth=20, shortcut="A"),
    DataConfig("cifar10", augmentation=("pad-crop", "flip"), padding=4, normalization="per-pixel-mean"),
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

RECIPES = (*CIFAR10, *CIFAR10_PLAIN, *CIFAR100)
