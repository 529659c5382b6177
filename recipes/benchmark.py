"""Measure the speed of the input, or of training a CIFAR network on noise.

    python recipes/benchmark.py input [RECIPE] --run.data-directory DIR [--images 1024] [--rounds 5] [flags of train.py]
    python recipes/benchmark.py training [DEPTH] [--batch-size 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py strategies [DEPTH] [--batch-size 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py start [DEPTH] [--batch-size 128] [--precision mixed_bfloat16]

input: images per second of reading, decoding, augmenting and all together, beside what the recipe's network consumes,
    and a verdict; beside a DataLoader with PIL, and decoders alone, where torch, simplejpeg, Pillow or OpenCV is there.
training: images per second, interleaved with the same network with Keras's own batch normalization, and the ratio.
strategies: the same of this machine's devices together (mirrored: its GPUs, or its CPU divided), and of one device.
start: seconds from the start of the program to the end of the first iteration, and the memory that it took.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from benchmarks import input_speed
from benchmarks.interleaved import Task, compare, in_own_process
from cli import command_line, program, startup
from cli.options import Options as AnyOptions
from keras_resnet.facts import architectures


@dataclass(frozen=True, kw_only=True)
class Options(AnyOptions):
    """Options of this program, for all but the input."""

    subject: Annotated[
        Positional[Literal["input", "training", "strategies", "start"]], arg(metavar="input|training|strategies|start")
    ]
    """What is measured."""
    depth: Annotated[Positional[int], arg(metavar="[DEPTH]")] = 20
    """6n+2."""
    batch_size: int = 128
    """Images in an iteration."""
    precision: Literal["float32", "mixed_bfloat16"] = "mixed_bfloat16"
    """Of the activations."""
    rounds: int = 5
    """Measurements of each; one more comes before, uncounted."""
    iterations: int = 20
    """Iterations in a measurement."""

    def _check(self) -> None:
        self._at_least(1, "batch_size", "rounds", "iterations")
        if self.subject == "input":
            raise ValueError("input comes first: it has options of its own")
        architectures.cifar(self.depth)


FLAGS = command_line.flags_by_argument(Options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was measured; returns the exit status."""
    began = time.perf_counter()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["input"]:
        return input_speed.main(arguments[1:])
    options = command_line.read(Options, __doc__, arguments)
    return program.answer(lambda options: measure(options, began), options, flags=FLAGS)


def measure(options: Options, began: float) -> int:
    """Prints what was measured."""
    if options.subject == "strategies":
        compare({name: in_own_process(train_on, name, options) for name in ("mirrored", "one_device")}, options.rounds)
        return 0
    prepare(options)
    if options.subject == "start":
        time_start(options, began)
    else:
        compare(with_baseline(options), options.rounds)
    return 0


def prepare(options: Options) -> None:
    """Loads TensorFlow."""
    with startup.loading():
        import keras

    keras.config.set_dtype_policy(options.precision)


def train_on(strategy: str, options: Options) -> Task:
    """Trains on the devices of a strategy; for a process of its own, where a CPU can be divided."""
    prepare(options)
    from keras_resnet.models import resnet
    from keras_resnet.training.tensorflow import strategies

    devices = strategies.STRATEGIES[strategy](None, options.batch_size, 0.0)
    with devices.scope():
        network = resnet.CifarResNet(options.depth, classifier_activation=None)
        return trainer(network, devices, options, options.iterations)


def time_start(options: Options, began: float) -> None:
    """Prints when the network was built and its first iteration done."""
    from keras_resnet.models import resnet
    from keras_resnet.training.tensorflow.strategies import one_device

    strategy = one_device()
    with strategy.scope():
        network = resnet.CifarResNet(options.depth, classifier_activation=None)
        print(f"built after {time.perf_counter() - began:.1f} s", flush=True)
        train = trainer(network, strategy, options, iterations=1)
    train()
    print(f"first iteration done after {time.perf_counter() - began:.1f} s", flush=True)
    again = time.perf_counter()
    train()
    print(f"second iteration: {time.perf_counter() - again:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def with_baseline(options: Options) -> dict[str, Task]:
    """The network, and the same with Keras's batch normalization."""
    import keras

    from keras_resnet.models import layers, resnet
    from keras_resnet.training.tensorflow.strategies import one_device

    def with_keras_normalization(layer):
        kind = keras.layers.BatchNormalization if isinstance(layer, layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    strategy = one_device()
    with strategy.scope():
        ours = resnet.CifarResNet(options.depth, classifier_activation=None)
        theirs = keras.models.clone_model(ours, clone_function=with_keras_normalization)
        return {
            "keras_resnet": trainer(ours, strategy, options, options.iterations),
            "with keras.layers.BatchNormalization": trainer(theirs, strategy, options, options.iterations),
        }


def trainer(model, strategy, options: Options, iterations: int) -> Task:
    """Trains a model for some iterations on noise."""
    import tensorflow as tf

    from keras_resnet.optimization.optimizers import SGD
    from keras_resnet.training.tensorflow import strategies
    from keras_resnet.training.tensorflow.multi_step import multi_step
    from keras_resnet.training.tensorflow.replica import Replica

    def make(replicas: int, **_: int) -> tf.data.Dataset:
        size = options.batch_size // replicas
        images = tf.random.stateless_uniform([size, 32, 32, 3], [0, 0], maxval=255.0)
        labels = tf.random.stateless_uniform([size], [0, 1], maxval=10, dtype=tf.int32)
        return tf.data.Dataset.from_tensors((images, labels)).repeat()

    optimizer = SGD(0.01)
    optimizer.build(model.trainable_variables)
    batches = iter(strategies.batches(strategy, make))
    replica = Replica(model, optimizer, global_batch_size=options.batch_size)
    run = multi_step(replica, strategy=strategy, steps_per_execution=iterations)
    rates = tf.fill([iterations], 0.01)

    def train() -> int:
        run(batches, rates)[0].numpy()
        return options.batch_size * iterations

    return train


if __name__ == "__main__":
    program.run(main)
