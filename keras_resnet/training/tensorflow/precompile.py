"""What a replica does in an iteration, as TensorFlow gives it to XLA, lowered for a device that need not be there.

TensorFlow compiles for the devices that it has. What it gives to the compiler, however, is the same for all of them:
here the compiler of `libtpu` gets it by way of JAX. This file alone knows how.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resnet.optimization import losses
from keras_resnet.training.tensorflow.loss_scale import LossScale
from keras_resnet.training.tensorflow.moving_average import Average
from keras_resnet.training.tensorflow.replica import Replica

if TYPE_CHECKING:
    import jax
    from jax.sharding import Mesh

DTYPES = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i64": "int64",
    "i32": "int32",
    "ui8": "uint8",
    "i1": "bool",
}
"""NumPy's names of the types in a program."""
MAIN = re.compile(
    r"func\.func (?:public )?@main\((?P<arguments>.*?)\) -> \((?P<results>.*?)\) (?:attributes .*)?\{", re.S
)
COPY = re.compile(r"mhlo\.copy (%\S+) : (tensor<[^>]*>)")
"""A copy of a variable, for which StableHLO has no operation: what TensorFlow calls StableHLO has it all the same."""
RESHAPE = r"stablehlo.reshape \1 : (\2) -> \2"
"""To the same shape, which the compiler leaves out."""


def lower_training(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    mesh: Mesh,
    *,
    per_replica_batch_size: int,
    image_shape: tuple[int, int, int],
    accumulation: int = 1,
    loss: Callable = losses.cross_entropy,
    global_clipnorm: float | None = None,
    ema_momentum: float | None = None,
    scale_loss: bool = False,
) -> jax.stages.Lowered:
    """One iteration of a replica, without the sums over all replicas, which TensorFlow puts in when a training starts.

    Of an iteration's parts two are lowered at the most, as many as compilers count of a loop behind the first.

    Args:
        network: From images to logits.
        optimizer: Built.
        mesh: Of JAX; its first device is compiled for, the number of the others divides the loss.
        per_replica_batch_size: Images of a replica.
        image_shape: (height, width, channels).
        accumulation: Parts of an iteration.
        loss: From logits float32 [batch, classes] and labels int32 [batch] to the loss of each image, float32 [batch].
        global_clipnorm: The largest norm of the gradient over all weights.
        ema_momentum: Momentum of the moving average; None: no average.
        scale_loss: Whether the loss is scaled, for float16.

    Raises:
        ValueError: if TensorFlow and JAX no longer fit together here.
    """
    replica = Replica(
        network,
        optimizer,
        global_batch_size=per_replica_batch_size * mesh.devices.size * accumulation,
        loss=loss,
        global_clipnorm=global_clipnorm,
        loss_scale=LossScale() if scale_loss else None,
        average=None if ema_momentum is None else Average(network, ema_momentum),
    )

    def step(rate, *batches):
        optimizer.learning_rate.assign(rate)
        optimizer.iterations.assign_add(1)
        before = replica.statistics()
        mean, misclassified, gradients = replica.gradients(*batches[:2])
        for first in range(2, len(batches), 2):
            more_mean, more_misclassified, more = replica.gradients(*batches[first : first + 2])
            mean, misclassified = mean + more_mean, misclassified + more_misclassified
            gradients = [total + gradient for total, gradient in zip(gradients, more, strict=True)]
        finite = replica.update(gradients, rate, before)
        if replica.loss_scale:
            replica.loss_scale.adjust(finite)
        return mean, tf.cast(misclassified, tf.int32)

    parts = min(accumulation, 2)
    specs = (tf.TensorSpec([], tf.float32), *_batch(per_replica_batch_size, image_shape) * parts)
    return _lowered(step, specs, mesh, donated=True)


def lower_evaluation(
    network: keras.Model,
    mesh: Mesh,
    *,
    per_replica_batch_size: int,
    image_shape: tuple[int, int, int],
) -> jax.stages.Lowered:
    """The evaluation of one batch by a replica; see `lower_training`.

    Args:
        network: From images to logits.
        mesh: Of JAX; its first device is compiled for.
        per_replica_batch_size: Images of a replica.
        image_shape: (height, width, channels).

    Raises:
        ValueError: if TensorFlow and JAX no longer fit together here.
    """

    def measure(images, labels):
        logits = network(images, training=False)
        wrong = [tf.math.count_nonzero(losses.misclassified(logits, labels, k), dtype=tf.int32) for k in (1, 5)]
        return tf.reduce_sum(losses.cross_entropy(logits, labels)), *wrong

    return _lowered(measure, _batch(per_replica_batch_size, image_shape), mesh, donated=False)


def _batch(images: int, image_shape: Sequence[int]) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    return tf.TensorSpec([images, *image_shape], tf.uint8), tf.TensorSpec([images], tf.int32)


def _lowered(function: Callable, specs: Sequence[tf.TensorSpec], mesh: Mesh, *, donated: bool) -> jax.stages.Lowered:
    """A function of TensorFlow for the first device of a mesh of JAX; its variables become arguments."""
    compiled = tf.function(function, jit_compile=True, autograph=False)
    try:
        text = compiled.experimental_get_compiler_ir(*specs)(stage="stablehlo")
        return as_jax(text, mesh, given=len(specs), donated=donated)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"TensorFlow {tf.__version__} and the JAX that is installed do not fit together in "
            f"training/tensorflow/precompile.py: {type(error).__name__}: {error}. The training on the JAX backend does "
            "not need this"
        ) from error


def as_jax(text: str, mesh: Mesh, *, given: int, donated: bool) -> jax.stages.Lowered:
    """A program in StableHLO, lowered by JAX for the first device of a mesh.

    `jax.export` calls programs that it has exported: here one of a function with the same arguments and results, in
    which the program is exchanged.

    Args:
        text: Of the program.
        mesh: Of JAX.
        given: Arguments that come first; those after them are variables.
        donated: Whether new values take the places of the variables.
    """
    import jax
    import numpy as np
    from jax import export
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from jaxlib.mlir.dialects import stablehlo

    text = COPY.sub(RESHAPE, text)
    main = MAIN.search(text)
    if main is None:
        raise ValueError("the program has no function main")
    arguments, results = _types(main["arguments"]), _types(main["results"])

    def same_types(*_: Any) -> list[Any]:
        return [jax.numpy.zeros(each.shape, each.dtype) for each in results]

    here = NamedSharding(Mesh(np.array(mesh.devices.flat[:1]), mesh.axis_names), PartitionSpec())
    replaced = tuple(range(given, len(arguments))) if donated else ()
    with jax.enable_x64(True):  # TensorFlow counts in int64
        alike = export.export(jax.jit(same_types, keep_unused=True), platforms=["tpu"])(*arguments)
        program = stablehlo.serialize_portable_artifact_str(text, stablehlo.get_current_version())
        exported = dataclasses.replace(alike, mlir_module_serialized=program)
        call = jax.jit(exported.call, in_shardings=here, out_shardings=here, donate_argnums=replaced)
        return call.lower(*arguments)


def _types(text: str) -> list[Any]:
    """The arrays in a part of a function's signature."""
    import jax

    found = []
    for written in re.findall(r"tensor<([^>]*)>", text):
        *sizes, dtype = written.split("x")
        found.append(jax.ShapeDtypeStruct(tuple(map(int, sizes)), DTYPES[dtype]))
    return found
