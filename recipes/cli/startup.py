"""Load an engine without the notes that it writes about the machine, and TensorFlow with fast operations."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator

from cli import backends
from keras_resnet.host import native_stderr, texts


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Chooses oneDNN's operations, keeps what the libraries write while they load, and shows it if they fail.

    TensorFlow is loaded by this where it is the backend, and otherwise only if the block does so.

    By itself TensorFlow takes oneDNN only on processors with AVX-512, though with AVX2 convolutions are faster with it,
    too: those of 16 channels about four times. `TF_ENABLE_ONEDNN_OPTS=0` in the environment leaves it out.

    The libraries write before any log level applies, below Python, and a machine without a GPU reads of errors. A
    value of `TF_CPP_MIN_LOG_LEVEL` in the environment lets them.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        _settle()
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with native_stderr.captured() as notes:
            yield
            _settle()
    except BaseException:
        native_stderr.write(notes)
        raise


def _settle() -> None:
    """Makes TensorFlow look for a GPU, and complain of every one that is not there.

    It is kept off the GPUs, whose memory it would take, where another backend computes and it only reads.
    """
    if computes := backends.chosen() == "tensorflow":
        importlib.import_module("tensorflow")
    if (tf := sys.modules.get("tensorflow")) is None:
        return
    if not computes and tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    tf.config.list_physical_devices()


def tell(line: str) -> None:
    """Says on standard error what takes long."""
    print(f"{texts.printable(line)} …", file=sys.stderr, flush=True)
