"""Damage of image files, found by decoding each of them once."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from keras_resnet.data.picture_files import exif
from keras_resnet.data.picture_files.finding import KINDS
from keras_resnet.data.picture_files.formats import JPEG_START, PNG_START, decode_with_pillow
from keras_resnet.data.splits import PARALLEL_CALLS
from keras_resnet.host import native_stderr
from keras_resnet.host.files import special_file

ENDS = {JPEG_START: b"\xff\xd9", PNG_START: b"IEND\xaeB`\x82"}
"""The last bytes of whole files, by their first ones."""
BY_PILLOW = {b"RIFF": "WebP", b"BM": "BMP", b"GIF8": "GIF"}
OTHERS = {b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"\x00\x00\x00": "HEIF or AVIF", b"<": "HTML, XML or SVG"}
"""The first bytes of files that are sometimes named like pictures of the kinds that are read."""

COMPLAINT = re.compile(
    "Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|Warning: unknown JFIF|Unknown Adobe|"
    "Application transferred"
)
"""How the lines begin that libjpeg writes on standard error, by itself and without the name of a file."""
ERROR = re.compile(r"[EW]\d{4} .*(jpeg_mem|png_io)\.cc")
"""A line of TensorFlow's log about an image that it could not decode, without the name of a file, either."""
HARMLESS = re.compile("Warning: unknown JFIF|Unknown Adobe")
"""Of those, the ones about whole images."""
TOGETHER = 512
"""Files after which it is looked whether libjpeg complained of one of them."""
NAMED = 100
"""Unusable files that an error lists by name."""


class Examined(NamedTuple):
    """What there is to say of an image file.

    Attributes:
        unusable: Why it cannot be decoded, if it cannot.
        complaint: What libjpeg says of an image that it decodes, if anything.
        orientation: How the image is to be turned, 1 to 8 as in EXIF.
    """

    unusable: str | None = None
    complaint: str | None = None
    orientation: int = exif.UPRIGHT

    @property
    def fault(self) -> str | None:
        """Why it cannot be used, or not all of it can have been decoded."""
        if self.unusable or not self.complaint or HARMLESS.match(self.complaint):
            return self.unusable
        return f"damaged ({self.complaint.removeprefix('Corrupt JPEG data: ')})"


def examine(paths: Sequence[str], progress: Callable[[int], None] = lambda done: None) -> list[Examined]:
    """Decodes every file, in parallel. What libjpeg writes meanwhile is assigned to its file, and not shown.

    Args:
        paths: Of any files.
        progress: Called with the number of files that are done.
    """
    found: list[Examined] = []
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for start in range(0, len(paths), TOGETHER):
            part = paths[start : start + TOGETHER]
            with listening() as complaints:
                examined = list(pool.map(examine_file, part))
            if complaints:
                examined = [_alone(path, one) for path, one in zip(part, examined, strict=True)]
            found += examined
            progress(len(found))
    return found


def _alone(path: str, examined: Examined) -> Examined:
    """The same with the complaint of libjpeg about this file, if it has one."""
    if examined.unusable:
        return examined
    with listening() as complaints:
        again = examine_file(path)
    return again._replace(complaint=next(iter(complaints), None))


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Keeps what libjpeg writes in the block; what others write meanwhile is shown after it.

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


def examine_file(path: str) -> Examined:
    """Decodes one file, at the least cost at which damage shows."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            return Examined(f"{special_file(mode)}, not a file")
        content = Path(path).read_bytes()
    except OSError as error:
        return Examined(f"unreadable ({error.strerror})")
    if not content:
        return Examined("empty")
    return Examined(find_fault(content), orientation=exif.orientation(content))


def find_fault(content: bytes) -> str | None:
    """The fault of the content of an image file, if it cannot be decoded to its end."""
    start = next((start for start in (*ENDS, *BY_PILLOW) if content.startswith(start)), None)
    try:
        if start == JPEG_START:
            # A smaller image takes as much reading, and shows the same damage.
            tf.io.decode_jpeg(content, channels=3, ratio=8, fancy_upscaling=False)
        elif start == PNG_START:
            tf.io.decode_png(content, channels=3)
        elif start is not None:
            if not importlib.util.find_spec("PIL"):
                return f"{BY_PILLOW[start]}, which needs Pillow (pip install pillow)"
            decode_with_pillow(content)
        else:
            kind = next((kind for begin, kind in OTHERS.items() if content.startswith(begin)), None)
            return f"no {KINDS}" + (f", but {kind}" if kind else "")
    except (tf.errors.OpError, ValueError):
        # Some cameras append data of their own to a complete image: only decoding tells those from truncated ones.
        return "damaged" if start not in ENDS or content.endswith(ENDS[start]) else "truncated"
    return None


def describe(faults: Sequence[str], images: int) -> str:
    """The message about unusable files."""
    shown = [*faults[:NAMED], *[f"… and {len(faults) - NAMED:,} more"] * (len(faults) > NAMED)]
    return "\n  ".join([f"{len(faults):,} of {images:,} images cannot be used; repair or remove them:", *shown])
