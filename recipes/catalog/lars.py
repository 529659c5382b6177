"""ResNet-50 on ImageNet with batches of 32,768 and 65,536, each layer with a rate of its own.

Command:   python recipes/train.py imagenet-resnet50-lars-32k --run.data-directory DIR --run.strategy multi_worker
           (or tpu) --training.precision mixed_bfloat16
Hardware:  128 or more devices with 256 images each; on fewer, --training.accumulation
Expected:  24.1% error on the center crop, the target of MLPerf. The whole schedule has not been run with this package
Source:    You et al., 2017, "Large Batch Training of Convolutional Networks", for LARS; MLPerf Training 4.0, reference
           convergence points of ResNet-50, for the numbers: the epochs are the mean after which its reference got there
"""

from __future__ import annotations

from catalog.goyal import GOYAL, iterations, name, training
from catalog.variants import variant

POINTS = {
    32_768: {"learning_rate": 21.2, "warmup": 16, "epochs": 56.0, "weight_decay": 2.5e-5, "momentum": 0.94},
    65_536: {"learning_rate": 24.699, "warmup": 31, "epochs": 84.5, "weight_decay": 1e-4, "momentum": 0.9518},
}
"""By batch size; warm-up in epochs."""

RECIPES = tuple(
    variant(
        GOYAL,
        f"imagenet-resnet50-lars-{name(batch)}",
        f"ResNet-50 on ImageNet, batch {batch:,}: 24.1% error on the center crop (MLPerf's target)",
        optimizer={
            "name": "lars",
            "nesterov": False,
            "momentum": point["momentum"],
            "weight_decay": point["weight_decay"],
        },
        schedule={
            "name": "polynomial",
            "learning_rate": point["learning_rate"],
            "iterations": iterations(point["epochs"], batch),
            "boundaries": (),
            "warmup_iterations": iterations(point["warmup"], batch),
        },
        training={**vars(training(batch, normalization_batch_size=128)), "label_smoothing": 0.1},
    )
    for batch, point in POINTS.items()
)
