"""The record of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def summary_writer(directory: str) -> Callable[[int, Mapping[str, float]], None]:
    """The function that adds scalars to TensorBoard's logs.

    TensorFlow writes them, also where another backend trains.

    Args:
        directory: Of the logs; made if it does not exist.

    Returns:
        Function of (iteration, values by tag). It raises an `OSError` if the logs cannot be written.
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(directory)

    def write(iteration: int, values: Mapping[str, float]) -> None:
        try:
            with writer.as_default(step=iteration):
                for tag, value in values.items():
                    tf.summary.scalar(tag, value)
        except tf.errors.OpError as error:
            reason = str(error.message).partition("\n")[0]
            raise OSError(f"TensorBoard's logs cannot be written: {reason}") from error

    return write
