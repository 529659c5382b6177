"""What libjpeg complains of while TensorFlow decodes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from keras_resnet.data.picture_files.damage import COMPLAINT
from keras_resnet.host import native_stderr

ERROR = re.compile(r"[EW]\d{4} .*(jpeg_mem|png_io)\.cc")
"""A line of TensorFlow's log about an image that it could not decode, without the name of a file, either."""


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Keeps what libjpeg writes in the block, without the names of files; what others write is shown after it.

    Yields:
        A list, to which the complaints are added once the block has ended.
    """
    complaints: list[str] = []
    try:
        with native_stderr.captured() as lines:
            yield complaints
    finally:
        complaints += filter(COMPLAINT.match, lines)
        native_stderr.write([line for line in lines if not COMPLAINT.match(line) and not ERROR.match(line)])
