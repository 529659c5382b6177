"""Export a saved network with the torch backend: `python -m keras_resnet.export.torch_process SAVED OUTPUT BATCH`.

BATCH is the size of the batches, 0 for any. `KERAS_BACKEND` must be torch.
"""

from __future__ import annotations

import sys

import keras
import torch

import keras_resnet  # noqa: F401  # with the classes of ours that a saved network is made of
from keras_resnet.export.writers import signature
from keras_resnet.host import signals


def main(saved: str, output: str, batch: str) -> None:
    """Writes the file."""
    network = keras.saving.load_model(saved)
    network.trainable = False  # nothing that a gradient needs
    options = {} if int(batch) else {"dynamic_shapes": {0: torch.export.Dim("batch", min=1)}}
    network.export(
        output, format="torch", verbose=False, input_signature=signature(network, int(batch) or None), **options
    )


if __name__ == "__main__":
    signals.follow_parent()
    main(*sys.argv[1:])
