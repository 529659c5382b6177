"""Load TensorFlow with the fast operations of this CPU, without the notes that it writes about the machine."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from cli import backends
from keras_resnet.host import native_stderr, texts


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Chooses oneDNN's operations, keeps what TensorFlow's libraries write while they load, and shows it if they fail.

    By itself TensorFlow takes oneDNN only on processors with AVX-512, though with AVX2 convolutions are faster with it,
    too: those of 16 channels about four times. `TF_ENABLE_ONEDNN_OPTS=0` in the environment leaves it out.

    The libraries write before any log level applies, below Python, and a machine without a GPU reads of errors. A
    value of `TF_CPP_MIN_LOG_LEVEL` in the environment lets them.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        leave_gpus()
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with native_stderr.captured() as notes:
            yield
            import tensorflow as tf

            leave_gpus()
            tf.config.list_physical_devices()  # looks for a GPU, and complains of every one that is not there
    except BaseException:
        native_stderr.write(notes)
        raise


def leave_gpus() -> None:
    """Keeps TensorFlow off the GPUs, whose memory it would take, where another backend computes and it only reads."""
    import tensorflow as tf

    if backends.chosen() != "tensorflow" and tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")


def tell(line: str) -> None:
    """Says on standard error what takes long."""
    print(f"{texts.printable(line)} …", file=sys.stderr, flush=True)
