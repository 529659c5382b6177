"""Measure the speed of the input, or of training a CIFAR network on noise.

    python recipes/benchmark.py input [RECIPE] --run.data-directory DIR [--images 1024] [--rounds 5] [flags of train.py]
    python recipes/benchmark.py training [DEPTH] [--batch 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py strategies [DEPTH] [--batch 128] [--precision mixed_bfloat16] [--rounds 5]
    python recipes/benchmark.py start [DEPTH] [--batch 128] [--precision mixed_bfloat16]

input: images per second of reading, decoding, augmenting and all together, beside what the recipe's network consumes,
    and a verdict; where torch or simplejpeg is installed, beside a DataLoader with PIL, and libjpeg-turbo, too.
training: images per second, in turns with the same network with Keras's own batch normalization, and the ratio.
strategies: the same of this machine's devices together (mirrored: its GPUs, or its CPU divided), and of one device.
start: seconds from the start of the program to the end of the first iteration, and the memory that it took.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence

import input_speed
import startup
from keras_resnet.facts import architectures
from turns import Contender, compare, elsewhere


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured."""
    began = time.perf_counter()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["input"]:
        return input_speed.main(arguments[1:])
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("subject", choices=["input", "training", "strategies", "start"])
    parser.add_argument("depth", nargs="?", type=int, default=20, metavar="DEPTH", help="6n+2; defaults to 20")
    parser.add_argument("--batch", type=int, default=128, help="images in an iteration")
    parser.add_argument("--precision", default="mixed_bfloat16", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each; one more comes before, uncounted")
    parser.add_argument("--iterations", type=int, default=20, help="iterations in a measurement")
    options = parser.parse_args(arguments)
    try:
        architectures.cifar(options.depth)
    except ValueError as error:
        parser.error(str(error))
    if options.subject == "strategies":
        compare({name: elsewhere(on, name, options) for name in ("mirrored", "one_device")}, options.rounds)
        return 0
    prepare(options)
    if options.subject == "start":
        start(options, began)
    else:
        compare(contenders(options), options.rounds)
    return 0


def prepare(options: argparse.Namespace) -> None:
    """Loads TensorFlow."""
    with startup.loading():
        import keras

    keras.config.set_dtype_policy(options.precision)


def on(strategy: str, options: argparse.Namespace) -> Contender:
    """Trains on the devices of a strategy; for a process of its own, where a CPU can be divided."""
    prepare(options)
    from keras_resnet.models import resnet
    from keras_resnet.training.tensorflow import strategies

    devices = strategies.STRATEGIES[strategy](None, options.batch, 0.0)
    with devices.scope():
        network = resnet.CifarResNet(options.depth, classifier_activation=None)
        return trainer(network, devices, options, options.iterations)


def start(options: argparse.Namespace, began: float) -> None:
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


def contenders(options: argparse.Namespace) -> dict[str, Contender]:
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


def trainer(model, strategy, options: argparse.Namespace, iterations: int) -> Contender:
    """Trains a model for some iterations on noise."""
    import tensorflow as tf

    from keras_resnet.optimization.optimizers import SGD
    from keras_resnet.training.tensorflow import strategies
    from keras_resnet.training.tensorflow.multi_step import multi_step
    from keras_resnet.training.tensorflow.replica import Replica

    def make(replicas: int, **_: int) -> tf.data.Dataset:
        size = options.batch // replicas
        images = tf.random.stateless_uniform([size, 32, 32, 3], [0, 0], maxval=255.0)
        labels = tf.random.stateless_uniform([size], [0, 1], maxval=10, dtype=tf.int32)
        return tf.data.Dataset.from_tensors((images, labels)).repeat()

    optimizer = SGD(0.01)
    optimizer.build(model.trainable_variables)
    batches = iter(strategies.batches(strategy, make))
    replica = Replica(model, optimizer, global_batch_size=options.batch)
    run = multi_step(replica, strategy=strategy, steps_per_execution=iterations)
    rates = tf.fill([iterations], 0.01)

    def train() -> int:
        run(batches, rates)[0].numpy()
        return options.batch * iterations

    return train


if __name__ == "__main__":
    sys.exit(main())
