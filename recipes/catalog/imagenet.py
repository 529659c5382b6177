"""ImageNet as in Section 3.4 of the paper.

Command:   python recipes/train.py imagenet-resnet50 --run.data-directory DIR --run.strategy mirrored
           --training.precision mixed_bfloat16
           DIR is what recipes/prepare_imagenet.py made, or a directory of tensorflow-datasets
Hardware:  8 GPUs with 32 images on each, as the paper had. On fewer, or where memory ends, --training.accumulation 2, 4
           or 8 divides an iteration; batch normalization takes its statistics over 32 images in any case
Expected:  the errors below, on the validation images in ten crops; on the center crop alone, which the run measures,
           ResNet-50 has 24.7%, ResNet-101 23.6% and ResNet-152 23.0% (He, 2016, README of deep-residual-networks).
           The whole schedule has not been run with this package
Source:    He et al., 2015, Section 3.4: batch 256, learning rate 0.1, divided by 10 when the error plateaus, up to 60e4
           iterations; weight decay 1e-4, momentum 0.9; shorter side in [256, 480], crops of 224, flips, color noise,
           the mean image subtracted. Tables 2 and 3 for the errors. He, 2016, README of deep-residual-networks: batch
           statistics recomputed as an average after training

The paper does not say when it judged a plateau to be reached: here, after five epochs without a tenth of a percent. Its
Figure 4 shows the drops: --schedule.name steps --schedule.boundaries 150000 300000.
"""

from __future__ import annotations

from catalog.variants import variant
from keras_resnet.config.recipe import DataConfig, ModelConfig, Recipe, ScheduleConfig, TrainingConfig

RESNETS = {
    18: ("A", "27.88% error in ten crops (Table 2)"),
    34: ("A", "25.03% error in ten crops (Table 3); 24.52% with --model.shortcut B, 24.19% with C"),
    50: ("B", "22.85% error in ten crops (Table 3)"),
    101: ("B", "21.75% error in ten crops (Table 3)"),
    152: ("B", "21.43% error in ten crops (Table 3)"),
}
"""By depth, the shortcuts of the paper's comparison and the result."""

PLAIN = {18: "27.94% error in ten crops (Table 2)", 34: "28.54% error in ten crops (Table 2)"}

PAPER = ("random-scale-crop", "flip", "color-noise")
"""The augmentation of Section 3.4."""

IMAGENET = Recipe(
    "imagenet",
    "what all of them share",
    ModelConfig(family="imagenet", depth=50, shortcut="B"),
    DataConfig("imagenet", augmentation=PAPER, normalization="per-pixel-mean", image_size=224),
    schedule=ScheduleConfig("plateau", learning_rate=0.1, iterations=600_000, boundaries=(), patience=5),
    training=TrainingConfig(
        global_batch_size=256,
        normalization_batch_size=32,
        # The authors do not say how many images they took for "a sufficiently large training batch". 1,000 to 10,000
        # are enough (Wu and Johnson, 2021, Section 3); here they are those of 40 iterations.
        precise_statistics=10_000,
        # An epoch.
        validate_every=5005,
    ),
)

RECIPES = (
    *(
        variant(
            IMAGENET,
            f"imagenet-resnet{depth}",
            f"ResNet-{depth} on ImageNet: {expected}",
            model={"depth": depth, "shortcut": shortcut},
        )
        for depth, (shortcut, expected) in RESNETS.items()
    ),
    *(
        variant(
            IMAGENET,
            f"imagenet-plain{depth}",
            f"Plain network of {depth} layers on ImageNet: {expected}",
            model={"depth": depth, "shortcut": None},
        )
        for depth, expected in PLAIN.items()
    ),
)
