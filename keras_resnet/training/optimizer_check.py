"""What an optimizer must leave to the training."""

from __future__ import annotations

import keras

OWN = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema", "gradient_accumulation_steps", "weight_decay")
"""What Keras's optimizers do to gradients and weights beside their update, before the replicas have been summed."""


def check(optimizer: keras.optimizers.Optimizer) -> None:
    """Refuses an optimizer that clips, averages, accumulates or decays by itself.

    Raises:
        ValueError: naming what it does.
    """
    if own := [name for name in OWN if getattr(optimizer, name, None)]:
        raise ValueError(
            f"`optimizer` must leave {', '.join(own)} to the training, which knows of all replicas: set it to None"
        )
