"""Compiles a small training for slices of TPUs, on the backend that `KERAS_BACKEND` names, and prints what came out."""

from __future__ import annotations

import json
import sys

import keras

from keras_resnet.experiment.preflight import ENGINES
from keras_resnet.facts import tpus
from keras_resnet.models.layers import BatchNormalization
from keras_resnet.models.layers.replicas import AXIS
from keras_resnet.optimization.optimizers import SGD
from keras_resnet.preflight import topologies
from keras_resnet.preflight.compilation import DoesNotFitError, compiled
from keras_resnet.preflight.program import Program

SHAPE = (8, 8, 3)
PARTS = {"accumulation": 2, "global_clipnorm": 1.0, "ema_momentum": 0.9, "scale_loss": True}
"""All that an iteration can have."""


def network() -> keras.Model:
    image = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Rescaling(1 / 128, offset=-1)(image)
    x = keras.layers.Conv2D(16, 3, padding="same", dtype="mixed_bfloat16")(x)
    x = BatchNormalization(dtype="mixed_bfloat16")(x)
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D(dtype="float32")(x)))


def summary(program: Program) -> dict:
    return {
        "arguments": program.memory.arguments,
        "padded": program.held.padded_bytes,
        "flops": program.flops,
        "cycles": program.cycles,
        "collectives": [[each.kind, each.dtype, each.count, each.bytes] for each in program.collectives],
    }


def main() -> None:
    model = network()
    optimizer = SGD()
    optimizer.build(model.trainable_variables)
    engine = ENGINES[keras.backend.backend()]()
    found: dict = {"weights": model.count_params(), "trained": sum(w.numpy().size for w in model.trainable_weights)}
    for name in sys.argv[1:]:
        mesh = topologies.mesh(tpus.slice_of(name), AXIS)

        def training(batch: int, mesh=mesh) -> Program:
            options = {"per_replica_batch_size": batch, "image_shape": SHAPE, **PARTS}
            return compiled(lambda: engine.lower_training(model, optimizer, mesh, **options))

        def evaluation(batch: int, mesh=mesh) -> Program:
            return compiled(
                lambda: engine.lower_evaluation(model, mesh, per_replica_batch_size=batch, image_shape=SHAPE)
            )

        found[name] = {"training": summary(training(8)), "evaluation": summary(evaluation(8))}
        found[name]["processes"] = len({device.process_index for device in mesh.devices.flat})
    try:
        training(1 << 24)
    except DoesNotFitError as error:
        found["too large"] = [error.needed, error.allowed]
    print(json.dumps(found | {"tensorflow": "tensorflow" in sys.modules}))


if __name__ == "__main__":
    main()
