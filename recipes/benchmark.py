"""Measure the speed of the input, or of training a CIFAR network on noise.

    python recipes/benchmark.py input [RECIPE] --run.data-directory DIR [--json FILE] [flags of train.py]
    python recipes/benchmark.py training [DEPTH] [--batch-size 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py strategies [DEPTH] [--batch-size 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py start [DEPTH] [--batch-size 128] [--precision mixed_bfloat16]

input: images per second of reading, decoding, augmenting and all together, beside what the recipe's network consumes,
    and a verdict; beside a DataLoader with PIL, and decoders alone, where torch, simplejpeg, Pillow or OpenCV is there.
training: images per second, interleaved with the same network with Keras's own batch normalization, and the ratio.
strategies: the same of this machine's devices together (mirrored: its GPUs; with TensorFlow, or its CPU divided), and
    of one device.
start: seconds from the start of the program to the end of the first iteration, and the memory that it took.

KERAS_BACKEND=jax measures JAX, and of the input its own: by grain.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from benchmarks import input_speed, noise
from benchmarks.interleaved import Task, compare, in_own_process
from cli import command_line, program, startup
from cli.options import Options as AnyOptions
from keras_resnet.facts import architectures

if TYPE_CHECKING:
    import keras


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
    prepare()
    if options.subject == "start":
        time_start(options, began)
    else:
        compare(with_baseline(options), options.rounds)
    return 0


def prepare() -> None:
    """Loads the backend."""
    with startup.loading():
        import keras  # noqa: F401


def network(options: Options) -> keras.Model:
    """The network that is measured."""
    from keras_resnet.experiment.network import dtype_policy
    from keras_resnet.models import resnet

    with dtype_policy(options.precision):
        return resnet.CifarResNet(options.depth, classifier_activation=None)


def train_on(strategy: str, options: Options) -> Task:
    """Trains on the devices of a strategy; for a process of its own, where a CPU can be divided."""
    prepare()
    return trainer(lambda: network(options), strategy, options, options.iterations)


def time_start(options: Options, began: float) -> None:
    """Prints when the network was built and its first iteration done."""

    def build() -> keras.Model:
        built = network(options)
        print(f"built after {time.perf_counter() - began:.1f} s", flush=True)
        return built

    train = trainer(build, "one_device", options, iterations=1)
    train()
    print(f"first iteration done after {time.perf_counter() - began:.1f} s", flush=True)
    again = time.perf_counter()
    train()
    print(f"second iteration: {time.perf_counter() - again:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def with_baseline(options: Options) -> dict[str, Task]:
    """The network, and the same with Keras's batch normalization."""
    import keras

    from keras_resnet.models import layers

    def with_keras_normalization(layer: keras.Layer) -> keras.Layer:
        kind = keras.layers.BatchNormalization if isinstance(layer, layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    def theirs() -> keras.Model:
        return keras.models.clone_model(network(options), clone_function=with_keras_normalization)

    return {
        "keras_resnet": trainer(lambda: network(options), "one_device", options, options.iterations),
        "with keras.layers.BatchNormalization": trainer(theirs, "one_device", options, options.iterations),
    }


def trainer(build: Callable[[], keras.Model], strategy: str, options: Options, iterations: int) -> Task:
    """Trains a CIFAR network for some iterations on noise, on the devices of a strategy."""
    import keras

    from keras_resnet.experiment.backends import BACKENDS
    from keras_resnet.optimization.optimizers import SGD

    kind, size = BACKENDS[keras.backend.backend()](), options.batch_size
    processes = kind.connect(strategy=strategy, replicas=None, global_batch_size=size, timeout=0.0)

    def optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
        made = SGD(0.01)
        made.build(model.trainable_variables)
        return made

    backend = kind(processes, build, optimizer, noise.images(size, (32, 32, 3), 10), global_batch_size=size)
    return noise.training(backend, size, iterations=iterations)


if __name__ == "__main__":
    program.run(main)
